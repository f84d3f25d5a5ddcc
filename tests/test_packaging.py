"""The wheel: what is in it, and how it behaves where nothing else is installed."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"qeetid_authz": ROOT, "qeetid_authz_server": ROOT / "server"}

DRIVERS = ("psycopg", "aiohttp", "cryptography", "yaml")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program somewhere else than in the checkout."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT.anchor
    )


def succeed(*command: str | Path) -> str:
    """What a program that must succeed prints."""
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def new_environment(home: Path) -> Path:
    """The interpreter of a new environment with nothing in it."""
    venv.create(home)
    return home / "bin" / "python"


def install(python: Path, *what: str) -> None:
    """Install by the pip of the environment that runs the tests."""
    pip = (sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet")
    succeed(*pip, *what)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in an environment of its own."""
    target = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "build", "--wheel", f"--outdir={target}", ROOT)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    """The names of all files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel and msgspec only."""
    python = new_environment(tmp_path_factory.mktemp("bare"))
    install(python, "--no-deps", str(wheel))
    install(python, "msgspec")
    return python


def test_the_wheel_installs_two_packages(wheel: Path, contents: set[str]) -> None:
    """Its top level is the library, the server and what pip wants to know."""
    name, version, *_ = wheel.name.split("-")

    assert {path.split("/")[0] for path in contents} == {
        *PACKAGES,
        f"{name}-{version}.dist-info",
    }


def test_the_wheel_holds_every_file_of_the_packages(contents: set[str]) -> None:
    """Modules, SQL, the demonstration's document and the markers of typing."""
    expected = {
        str(path.relative_to(home))
        for package, home in PACKAGES.items()
        for path in (home / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    installed = {path for path in contents if ".dist-info/" not in path}

    assert installed == expected
    assert {
        "qeetid_authz/py.typed",
        "qeetid_authz_server/py.typed",
        "qeetid_authz_server/demo/demo.yaml",
        "qeetid_authz/postgres/sql/feed.sql",
        "qeetid_authz/postgres/sql/migrations/0001.sql",
    } <= installed


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Its licence comes along, and msgspec is all that it insists on."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
        assert any(name.endswith("/LICENSE") for name in archive.namelist())

    required = [line for line in lines if line.startswith("Requires-Dist:")]
    assert [line for line in required if "extra ==" not in line] == [
        "Requires-Dist: msgspec>=0.20"
    ]


ANSWERS = f"""
import sys
from qeetid_authz import Engine, Principal

drivers = set({DRIVERS}) & set(sys.modules)
assert not drivers, drivers
ann, acme = "{"a" * 32}", "{"b" * 32}"
engine = Engine.from_facts({{
    "users": [{{"email": "ann@x.test", "id": ann}}],
    "tenants": [{{
        "slug": "acme",
        "id": acme,
        "roles": [{{"name": "admin", "permissions": ["billing:write"]}}],
        "assignments": [{{"user": "ann@x.test", "roles": ["admin"]}}],
    }}],
}})
principal = Principal.user(ann, acme)
print(engine.can(principal, "billing:write"), engine.can(principal, "billing:read"))
"""


def test_the_library_needs_no_driver(bare: Path) -> None:
    """Facts answer questions where neither a database driver nor aiohttp is."""
    printed = succeed(bare, "-c", ANSWERS)

    assert printed == "True False\n"


@pytest.mark.parametrize(
    "opening",
    ["Authorizer.open('dbname=x')", "asyncio.run(AsyncAuthorizer.open('dbname=x'))"],
)
def test_following_a_database_names_its_extra(bare: Path, opening: str) -> None:
    """What needs a driver says how to install it; facts from a document need none."""
    code = f"""
import asyncio
from qeetid_authz import AsyncAuthorizer, Authorizer
assert not list(Authorizer.from_facts({{}}).who_can("0" * 32, "a:b"))
{opening}
"""
    done = run(bare, "-c", code)

    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "ImportError: following a database needs a driver;"
        " `pip install 'qeetid-authz[postgres]'`"
    )


def test_judging_tokens_names_its_extra(bare: Path) -> None:
    """Who says where the issuer's keys are learns at once what judging tokens needs."""
    done = run(
        bare,
        "-c",
        "import qeetid_authz; qeetid_authz.Authorizer('dbname=x', jwks='keys.json')",
    )

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "ImportError: judging credentials needs more;"
        " `pip install 'qeetid-authz[tokens]'`"
    )


def test_asking_a_sidecar_names_its_extra(bare: Path) -> None:
    """What speaks HTTP says how to install it."""
    done = run(bare, "-c", "from qeetid_authz import SidecarClient")

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "ImportError: asking a sidecar needs more; `pip install 'qeetid-authz[client]'`"
    )


def test_the_extra_is_enough_to_follow(wheel: Path, tmp_path: Path) -> None:
    """With `[postgres]` a database is migrated and followed; nothing else is needed."""
    python = new_environment(tmp_path)
    install(python, f"{wheel}[postgres]")

    succeed(
        python,
        "-c",
        "from qeetid_authz import AsyncAuthorizer, Authorizer\n"
        "from qeetid_authz.postgres import exporting, importing, lookup, migrate",
    )


def test_the_command_names_its_extra(bare: Path) -> None:
    """The installed command ends with one line, not with a stack trace."""
    done = run(bare.with_name("qeetid-authz"), "version")

    assert done.returncode == 2
    assert done.stderr.startswith("error: the command line needs `")
    assert done.stderr.endswith("`pip install 'qeetid-authz[cli]'`\n")
    assert done.stderr.count("\n") == 1


# pytest and the application's framework are borrowed from where this suite runs.
BORROWING = "import sys; sys.path.append(sys.argv.pop(1)); import pytest\n"
LOADED = """
before = set(sys.modules)
import qeetid_authz.testing.plugin
print(qeetid_authz.__file__, *sys.modules.keys() - before)
"""
TESTED = "sys.exit(pytest.main(sys.argv[1:]))"


def test_applications_are_tested_with_the_plugin(bare: Path, tmp_path: Path) -> None:
    """The installed wheel brings its fixtures, and loads little before they are used.

    What runs is the documentation's own test.
    """
    page = ROOT / "docs" / "integrations" / "testing" / "test_invoices.py"
    test, borrowed = shutil.copy(page, tmp_path), sysconfig.get_path("purelib")

    file, *loaded = succeed(bare, "-c", BORROWING + LOADED, borrowed).split()
    assert Path(file).is_relative_to(bare.parents[1])
    costly = {"qeetid_authz.document", "qeetid_authz.testing.authorizer", "asyncio"}
    assert costly.isdisjoint(loaded)
    options = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    tested = succeed(bare, "-c", BORROWING + TESTED, borrowed, *options, test)
    assert " 4 passed in " in tested
