"""The public face: its names, its errors, and the purity of what lies under it."""

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc, getmembers, isclass, isfunction, ismodule
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest

import qeetid_authz
import qeetid_authz_server
from qeetid_authz import errors
from qeetid_authz.errors import AuthzError

ROOT = Path(__file__).parents[1]
EDGES = {
    "authorizer",
    "clocks",
    "credentials",
    "frameworks",
    "options",
    "postgres",
    "replicated",
    "sidecar",
    "snapshots",
    "testing",
}
PURE_WITHIN = {
    "credentials.claims",
    "credentials.hashes",
    "credentials.jose",
    "credentials.jwks",
    "credentials.refusals",
    "credentials.tokens",
    "sidecar.asking",
    "sidecar.listing",
    "sidecar.messages",
    "sidecar.pending",
    "sidecar.refusals",
    "sidecar.wire",
    "snapshots.sealing",
}
LAZY = {"AsyncAuthorizer", "AsyncSidecarClient", "Authorizer", "SidecarClient"}
FOR_TYPES = {"TYPE_CHECKING", "Any", "import_module"}


def import_everything() -> None:
    """Every module of the distribution."""
    for package in (qeetid_authz, qeetid_authz_server):
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                import_module(found.name)


def error_classes(base: type[AuthzError] = AuthzError) -> Iterator[type[AuthzError]]:
    """All errors of the distribution, the base first."""
    import_everything()
    if base.__module__.startswith("qeetid_authz"):
        yield base
    for each in base.__subclasses__():
        yield from error_classes(each)


def core_contract() -> set[str]:
    """The modules that the import contract keeps from I/O."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (core,) = (c for c in contracts if c["name"] == "the core does no I/O")
    return set(core["source_modules"])


def test_all_is_what_is_there() -> None:
    """`__all__` leaves out no name that the package binds, and adds none."""
    bound = {
        name
        for name, value in vars(qeetid_authz).items()
        if not name.startswith("_") and not ismodule(value)
    }

    assert sorted(bound - FOR_TYPES | LAZY) == sorted(qeetid_authz.__all__)
    assert len(set(qeetid_authz.__all__)) == len(qeetid_authz.__all__)


@pytest.mark.parametrize("name", qeetid_authz.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """It can be imported, and it and its methods say what they are for."""
    public: Any = getattr(qeetid_authz, name)

    assert not name.startswith("_")
    assert public.__doc__
    assert not public.__doc__.startswith(f"{name}(")  # what a dataclass writes itself
    if isclass(public):
        methods = getmembers(public, lambda m: isfunction(m) or isinstance(m, property))
        assert not [
            method
            for method, value in methods
            if not method.startswith("_") and not getdoc(value)
        ]


def test_no_module_hides_a_function() -> None:
    """A module of a public name would take its place once it is imported."""
    modules = {path.stem for path in (ROOT / "qeetid_authz").iterdir()}

    assert modules.isdisjoint(qeetid_authz.__all__)


def test_a_name_that_isnt_there() -> None:
    """The lazy import answers for its own names only."""
    with pytest.raises(AttributeError, match="no attribute 'Authorised'"):
        qeetid_authz.Authorised  # noqa: B018


def test_every_error_has_a_code_of_its_own() -> None:
    """Programs tell errors apart by `code`, people by the class's sentence."""
    classes = list(error_classes())
    codes = [each.code for each in classes]

    assert len(classes) > 10
    assert sorted(set(codes)) == sorted(codes)
    assert not [each for each in classes if "code" not in vars(each)]
    assert not [each for each in classes if not each.__doc__]


def test_the_tree_of_errors_is_told_in_full() -> None:
    """The module's docstring draws every class that the module defines."""
    defined = {
        name
        for name, value in vars(errors).items()
        if isclass(value) and issubclass(value, AuthzError)
    }
    drawn = {"AuthzError", *re.findall(r"[├└]── (\w+)", errors.__doc__ or "")}

    assert drawn == defined


def test_every_core_module_is_kept_from_io() -> None:
    """A new module belongs to the pure core unless it is one of the edges."""
    found = {
        path.stem
        for path in (ROOT / "qeetid_authz").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists())
    }

    pure = found - EDGES - {"__init__"} | PURE_WITHIN
    assert core_contract() == {f"qeetid_authz.{name}" for name in pure}
