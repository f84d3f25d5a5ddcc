"""Metadata, by facts 1.5 and the level discovery of 1.8."""

import json
from typing import Any

import pytest

from tests.server.sidecars import Reply, request, sidecar
from tests.server.town import ACME

WELL_KNOWN = "/.well-known/authzen-configuration"
PATHS = {
    "access_evaluation_endpoint": "/access/v1/evaluation",
    "access_evaluations_endpoint": "/access/v1/evaluations",
    "search_subject_endpoint": "/access/v1/search/subject",
    "search_action_endpoint": "/access/v1/search/action",
    "search_resource_endpoint": "/access/v1/search/resource",
}


def told(reply: Reply) -> Any:
    assert (200, "application/json") == (reply.status, reply.header("Content-Type"))
    return json.loads(reply.body)


def members(url: str) -> dict[str, str]:
    """What the metadata of a decision point of that name must be."""
    endpoints = {name: url + path for name, path in PATHS.items()}
    return {"policy_decision_point": url, **endpoints}


def test_m14_s3_s4_it_says_what_there_is(strict: str) -> None:
    """To anybody, to be kept for an hour; every endpoint has its version."""
    reply = request(strict, WELL_KNOWN)

    assert members("https://authz.example") == told(reply)
    assert "max-age=3600" == reply.header("Cache-Control")
    assert all("/v1/" in path for path in PATHS.values())


@pytest.mark.parametrize(
    "tenant",
    [ACME, ACME.upper(), ACME.replace("-", ""), f"urn:uuid:{ACME}", f"usr_{ACME}"],
)
def test_m14_a_tenants_is_called_as_it_was_asked_for(strict: str, tenant: str) -> None:
    """Byte for byte: the well-known part goes between the host and the tenant."""
    reply = request(strict, f"{WELL_KNOWN}/{tenant}")

    assert members(f"https://authz.example/{tenant}") == told(reply)


@pytest.mark.parametrize(
    "tenant",
    [
        "acme",
        "%7B" + ACME + "%7D",
        "{" + ACME + "}",
        ACME[:-1],
        ACME[:-1] + "%30",
        "x/" + ACME,
        ACME + "/",
    ],
)
def test_what_is_no_tenant(strict: str, tenant: str) -> None:
    """A 404, so that no name is told that a URL could write in another way."""
    assert 404 == request(strict, f"{WELL_KNOWN}/{tenant}").status


def test_no_header_has_a_say(strict: str) -> None:
    """Whatever a request says of the host it came to."""
    reply = request(
        strict,
        WELL_KNOWN + "?x=https://evil.example",
        X_Forwarded_Host="evil.example",
        Forwarded="host=evil.example;proto=http",
        X_Forwarded_Proto="http",
    )

    assert members("https://authz.example") == told(reply)


def test_the_endpoints_are_there(strict: str) -> None:
    """Each answers a POST, for the caller's tenant and for one that is named."""
    for base in ("", f"/{ACME}"):
        for path in PATHS.values():
            reply = request(strict, base + path, method="POST", body=b"{}")
            assert 401 == reply.status


def test_a_url_may_have_a_path(town_database: str) -> None:
    """It then comes behind the well-known part, before the tenant."""
    url = "https://gate.example:8443/authz"
    with sidecar(town_database, public_url=url, authzen_instances=True) as base_url:
        assert members(url) == told(request(base_url, f"{WELL_KNOWN}/authz"))
        assert members(f"{url}/{ACME}") == told(
            request(base_url, f"{WELL_KNOWN}/authz/{ACME}")
        )
        assert 404 == request(base_url, WELL_KNOWN).status
        assert 404 == request(base_url, f"{WELL_KNOWN}/{ACME}").status


def test_m14_without_a_public_url_there_is_none(mirror: str) -> None:
    """A sidecar can't know where it is reached."""
    assert 404 == request(mirror, WELL_KNOWN).status
    assert 404 == request(mirror, f"{WELL_KNOWN}/{ACME}").status
