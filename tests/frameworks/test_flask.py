"""What is Flask's own: where decorators stand, classes, pages of errors."""

import pytest
from flask import Blueprint, Flask, g
from flask.views import MethodView

from qeetid_authz.frameworks.flask import init_app, requires
from qeetid_authz.testing import InMemoryAuthorizer
from tests.frameworks.served import WRITE, name_of


@pytest.fixture
def authz() -> InMemoryAuthorizer:
    return InMemoryAuthorizer()


@pytest.fixture
def app(authz: InMemoryAuthorizer) -> Flask:
    app = Flask(__name__)
    app.testing = True
    init_app(app, authz)
    return app


def test_a_decorator_in_the_wrong_place(app: Flask) -> None:
    """A view that is registered without its requirement isn't served."""

    @requires(WRITE)
    @app.get("/")
    def bill() -> str:
        return "billed"

    with pytest.raises(RuntimeError, match=r"`<function .*bill.*>` is served without"):
        app.test_client().get("/")
    app.testing = False
    assert 500 == app.test_client().get("/").status_code


def test_two_requirements(app: Flask, authz: InMemoryAuthorizer) -> None:
    """Both must be met, and the outer one is no mistake."""

    @app.get("/")
    @requires(WRITE)
    @requires("refund")
    def bill() -> str:
        return "billed"

    authz.permission(WRITE, "refund")
    some, both = authz.user("ann", "refund"), authz.user("bob", "refund", WRITE)
    assert [403, 200] == [
        app.test_client()
        .get("/", headers={"Authorization": authz.header_for(each)})
        .status_code
        for each in (some, both)
    ]


def test_a_class(app: Flask, authz: InMemoryAuthorizer) -> None:
    """The requirement may stand among its decorators."""

    class Invoices(MethodView):
        decorators = [requires(WRITE)]  # noqa: RUF012  (as Flask has it)

        def get(self, number: int) -> str:
            return f"{number} {name_of(g.principal)}"

    blueprint = Blueprint("invoices", __name__)
    blueprint.add_url_rule("/<int:number>", view_func=Invoices.as_view("invoices"))
    app.register_blueprint(blueprint)
    ann = authz.user("ann", WRITE)
    client = app.test_client()

    answer = client.get("/7", headers={"Authorization": authz.header_for(ann)})
    assert f"7 {ann.id}" == answer.text
    assert 401 == client.get("/7").status_code


def test_pages_of_errors(app: Flask) -> None:
    """They are the application's own where it has some."""
    app.add_url_rule("/", view_func=requires()(lambda: "served"), endpoint="view")

    @app.errorhandler(401)
    def log_in(error: Exception) -> tuple[str, int]:
        return "log in first", 401

    assert "log in first" == app.test_client().get("/").text


def test_where_there_is_no_view(app: Flask) -> None:
    """A path that isn't served is a 404 as ever."""
    assert 404 == app.test_client().get("/nowhere").status_code


def test_without_init_app() -> None:
    """Nobody is served then, and the mistake is told."""
    app = Flask(__name__)
    app.testing = True
    app.add_url_rule("/", view_func=requires(WRITE)(lambda: "served"), endpoint="view")

    with pytest.raises(RuntimeError, match=r"nobody tells who sends requests; `init_"):
        app.test_client().get("/")


def test_requests_in_one_context(app: Flask, authz: InMemoryAuthorizer) -> None:
    """Tests that keep a context have all requests share `g`; nobody is left in it."""
    app.add_url_rule("/", view_func=lambda: name_of(g.principal), endpoint="view")
    ann = authz.user("ann")
    client = app.test_client()

    with app.app_context():
        header = {"Authorization": authz.header_for(ann)}
        assert ann.id == client.get("/", headers=header).text
        assert "nobody" == client.get("/").text
