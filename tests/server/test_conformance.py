"""The sidecar against its own description, by requests that are made from it."""

import re
from typing import Any

import schemathesis
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.openapi import from_dict

from tests.server.bearers import Office
from tests.server.test_document import DOCUMENT
from tests.server.town import ACME, ACME_KEY

load_all_checks()

CHECKED: list[Any] = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "positive_data_acceptance",
        "ignored_auth",
        "allow_header_conformance",
    ]
)
TOKEN = re.compile(DOCUMENT["components"]["parameters"]["AtLeast"]["schema"]["pattern"])
ID = re.compile(DOCUMENT["components"]["schemas"]["Id"]["pattern"])


described = from_dict(
    DOCUMENT,
    config=schemathesis.Config.from_dict(
        {
            "generation": {
                "deterministic": True,
                "max-examples": 25,
                "database": "none",
            },
            # Their bodies differ in little.
            "operations": [
                {"include-tag": "authzen", "generation": {"max-examples": 5}}
            ],
        }
    ),
).exclude(path_regex=r"^/\{tenant\}/access/")  # which are the same once more


def about_acme(values: Any, name: str) -> None:
    """Ask about the caller's tenant where any is asked about; others are refused."""
    if isinstance(values, list):
        for each in values:
            about_acme(each, name)
    if not isinstance(values, dict):
        return
    given = values.get(name)
    if isinstance(given, str) and ID.fullmatch(given):
        values[name] = ACME
    for member in ("questions", "principal"):
        about_acme(values.get(member), name)


def with_a_token(case: Case[Any]) -> None:
    """Leave out what is no revision token: the generator goes by no header's pattern."""
    headers: Any = case.headers or {}
    given = headers.get("X-Qeetid-At-Least")
    if given is not None and not TOKEN.fullmatch(given):
        del headers["X-Qeetid-At-Least"]


def without_a_page_token(case: Case[Any]) -> None:
    """Leave out what is no token that a page told: there is no making one up."""
    page = case.body.get("page") if isinstance(case.body, dict) else None
    if isinstance(page, dict) and isinstance(page.get("token"), str):
        page["token"] = ""


@described.parametrize()
def test_who_is_known_is_answered_as_described(
    case: Case[Any], strict_office: Office
) -> None:
    """Whatever is asked with a good key: status, headers and body are those written."""
    with_a_token(case)
    without_a_page_token(case)
    about_acme(case.query, "tenant_id")
    about_acme(case.path_parameters, "tenant")
    about_acme(case.body, "tenant_id")
    case.call_and_validate(
        base_url=strict_office.base_url,
        headers={"Authorization": f"ApiKey {ACME_KEY}"},
        checks=CHECKED,
        timeout=10,
    )


@described.parametrize()
def test_who_is_unknown_is_refused_as_described(case: Case[Any], strict: str) -> None:
    """Whatever is asked without any credential."""
    case.call_and_validate(base_url=strict, checks=CHECKED, timeout=10)
