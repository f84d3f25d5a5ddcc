"""The webhook of a Kubernetes API server (authorization.k8s.io)."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from qeetid_authz.postgres.embedded import Server
from qeetid_authz_server.kubernetes.mapping import permission_of
from qeetid_authz_server.kubernetes.reviews import (
    NonResourceAttributes,
    ResourceAttributes,
)
from tests.fixtures.postgres import new_database
from tests.integration.world import ANNS_KEY
from tests.server.bearers import Office, office, settle
from tests.server.closing import closed
from tests.server.sidecars import Reply, eventually, request, sidecar
from tests.server.test_hosted import said
from tests.server.test_tls import TlsWire, make_pair, trusting
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    CLERK,
    CLOSED,
    EVE,
    OTHER,
    OTHER_KEY,
    SUE,
    uuid,
)

PATH = "/authz/kubernetes"
SNIPPETS = Path(__file__).parents[2] / "docs" / "integrations" / "kubernetes"
GRANTED = ("pods:get", "pods/log:get", "apps/deployments/scale:update", "/metrics:get")
V1, V1BETA1 = "authorization.k8s.io/v1", "authorization.k8s.io/v1beta1"
PODS = {"namespace": "acme", "verb": "get", "version": "v1", "resource": "pods"}
UNKNOWN = "the namespace is no tenant that the caller may ask about"


@pytest.fixture(scope="module")
def cluster_database(cluster: Server, template: str) -> Iterator[str]:
    """The settled town, where clerks may do something in a cluster."""
    with new_database(cluster, template) as name:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            settle(connection)
            connection.execute(
                "UPDATE tenant.tenants SET slug = 'acme' WHERE id = %s", (ACME,)
            )
            connection.execute(
                "UPDATE tenant.tenants SET slug = 'other' WHERE id = %s", (OTHER,)
            )
            connection.execute(
                """UPDATE "user".users SET email = 'Ann@acme.example' WHERE id = %s""",
                (ANN,),
            )
            for key in GRANTED:
                id_ = uuid("permission", key)
                connection.execute(
                    "INSERT INTO rbac.permissions (id, key) VALUES (%s, %s)", (id_, key)
                )
                connection.execute(
                    "INSERT INTO rbac.role_permissions (role_id, permission_id)"
                    " VALUES (%s, %s)",
                    (CLERK, id_),
                )
        yield cluster.dsn(name)


@pytest.fixture(scope="module")
def guarded(cluster_database: str) -> Iterator[Office]:
    """A sidecar that asks who calls."""
    with office(cluster_database) as running:
        yield running


@pytest.fixture(scope="module")
def trusting_all(cluster_database: str) -> Iterator[str]:
    """The base URL of one that doesn't."""
    with sidecar(cluster_database, caller_auth="off") as base_url:
        yield base_url


def review(version: str = V1, **spec: Any) -> dict[str, Any]:
    """A review; about pods by Ann if nothing else is said, None leaving a part out."""
    told = {"user": ANN, "resourceAttributes": PODS, **spec}
    told = {name: value for name, value in told.items() if value is not None}
    return {"apiVersion": version, "kind": "SubjectAccessReview", "spec": told}


def ask(
    base_url: str,
    body: Any,
    authorization: str | None = f"Bearer {ACME_KEY}",
    **headers: str,
) -> Reply:
    """Ask as an API server does."""
    given = {"Content_Type": "application/json", **headers}
    if authorization is not None:
        given["Authorization"] = authorization
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(base_url, PATH, method="POST", body=raw, **given)


@dataclass
class Status:
    """What an API server makes of an answer (its plugin of the webhook)."""

    allowed: bool
    denied: bool
    reason: str
    error: str


def status(reply: Reply, version: str = V1) -> Status:
    """The status that is answered, which must be one that a server takes."""
    assert (200, "application/json") == (reply.status, reply.header("Content-Type"))
    body = json.loads(reply.body)
    assert {"apiVersion", "kind", "status"} == body.keys()
    assert (version, "SubjectAccessReview") == (body["apiVersion"], body["kind"])
    told = body["status"]
    assert isinstance(told["allowed"], bool)
    assert told.keys() <= {"allowed", "denied", "reason", "evaluationError"}
    return Status(
        told["allowed"],
        told.get("denied", False),
        told["reason"],
        told.get("evaluationError", ""),
    )


# Mapping


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        (ResourceAttributes("n", "get", "", "pods"), "pods:get"),
        (ResourceAttributes("n", "get", "", "pods", "log"), "pods/log:get"),
        (
            ResourceAttributes("n", "list", "apps", "deployments"),
            "apps/deployments:list",
        ),
        (
            ResourceAttributes("n", "update", "apps", "deployments", "scale"),
            "apps/deployments/scale:update",
        ),
        (ResourceAttributes("n", "*", "*", "*"), "*/*:*"),
        (NonResourceAttributes("/metrics", "get"), "/metrics:get"),
        (NonResourceAttributes("/logs/a:b", "get"), "/logs/a:b:get"),
        (ResourceAttributes("n", "get", "", ""), None),
        (ResourceAttributes("n", "", "", "pods"), None),
        (ResourceAttributes("n", "get", "", "pods/log"), None),
        (ResourceAttributes("n", "get", "apps/v1", "deployments"), None),
        (ResourceAttributes("n", "get", "", "pods", "a/b"), None),
        (ResourceAttributes("n", "x:get", "", "pods"), None),
        (ResourceAttributes("n", "get", "", "pods:x"), None),
        (ResourceAttributes("n", "get", "", "pods\0"), None),
        (NonResourceAttributes("metrics", "get"), None),
        (NonResourceAttributes("", "get"), None),
        (NonResourceAttributes("/x", ""), None),
        (NonResourceAttributes("/x", "a:b"), None),
    ],
)
def test_what_is_asked_is_a_permission(
    asked: ResourceAttributes | NonResourceAttributes, key: str | None
) -> None:
    """`[group/]resource[/subresource]:verb` or `path:verb`, if it can mean but that."""
    assert key == permission_of(asked)


# Answers


@pytest.mark.parametrize("version", [V1, V1BETA1])
@pytest.mark.parametrize("namespace", ["acme", "ACME", ACME])
@pytest.mark.parametrize("user", [ANN, f"usr_{ANN}", "ann@acme.example"])
def test_who_holds_the_permission_is_allowed(
    guarded: Office, version: str, namespace: str, user: str
) -> None:
    """By id or e-mail, in a namespace called as its tenant, in either version."""
    asked = review(
        version, user=user, resourceAttributes=PODS | {"namespace": namespace}
    )
    reply = ask(guarded.base_url, asked)

    sentence = "pods:get: a role or a scope grants this permission (granted)"
    assert Status(True, False, sentence, "") == status(reply, version)
    assert reply.header("X-Qeetid-Revision")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"user": EVE}, "pods:get: no role grants this permission"),
        ({"user": SUE}, "pods:get: the user is suspended or deleted"),
        ({"user": uuid("user", "nobody")}, "pods:get: no user has this id"),
        ({"user": "nobody@acme.example"}, "the user isn't one of Qeet ID's"),
        ({"user": "system:serviceaccount:acme:x"}, "the user isn't one of Qeet ID's"),
        ({"user": ""}, "the user isn't one of Qeet ID's"),
        ({"user": None, "groups": ["system:masters"]}, "the user isn't one of"),
        (
            {"resourceAttributes": PODS | {"verb": "delete"}},
            "pods:delete: no permission",
        ),
        ({"resourceAttributes": PODS | {"group": "apps"}}, "apps/pods:get: no perm"),
        ({"resourceAttributes": PODS | {"subresource": "exec"}}, "pods/exec:get: no "),
        (
            {"resourceAttributes": PODS | {"resource": "pods/log"}},
            "no permission can be",
        ),
        ({"resourceAttributes": PODS | {"namespace": "other"}}, UNKNOWN),
        ({"resourceAttributes": PODS | {"namespace": OTHER}}, UNKNOWN),
        ({"resourceAttributes": PODS | {"namespace": "kube-system"}}, UNKNOWN),
        ({"resourceAttributes": PODS | {"namespace": CLOSED}}, UNKNOWN),
        (
            {"resourceAttributes": PODS | {"namespace": ""}},
            "what is in no one namespace",
        ),
        ({"resourceAttributes": {"verb": "get", "resource": "nodes"}}, "what is in no"),
    ],
)
def test_all_else_is_left_to_others(
    guarded: Office, spec: dict[str, Any], why: str
) -> None:
    """No opinion, never a denial for good; a reason, and no error."""
    told = status(ask(guarded.base_url, review(**spec)))

    assert (False, False, "") == (told.allowed, told.denied, told.error)
    assert told.reason.startswith(why), told.reason


def test_a_subresource_is_a_permission_of_its_own(guarded: Office) -> None:
    """Neither does a resource's include it, nor the other way about."""
    scale = {"namespace": "acme", "group": "apps", "resource": "deployments"}
    for subresource, allowed in (("scale", True), ("status", False), ("", False)):
        asked = scale | {"verb": "update", "subresource": subresource}
        told = status(ask(guarded.base_url, review(resourceAttributes=asked)))
        assert allowed is told.allowed


@pytest.mark.parametrize("spelling", ["groups", "group"])
def test_groups_are_what_qeet_id_knows(guarded: Office, spelling: str) -> None:
    """Those in the request, in either version's spelling, grant nothing."""
    for version in (V1, V1BETA1):
        groups = {spelling: ["system:masters", "Staff"]}
        told = status(
            ask(guarded.base_url, review(version, user=EVE, **groups)), version
        )
        assert not told.allowed


def test_paths_are_the_callers_tenants(guarded: Office, trusting_all: str) -> None:
    """A path is in no namespace: who presents a key stands for its tenant."""
    asked = review(
        resourceAttributes=None,
        nonResourceAttributes={"path": "/metrics", "verb": "get"},
    )
    assert status(ask(guarded.base_url, asked)).allowed
    assert not status(ask(guarded.base_url, asked, f"Bearer {OTHER_KEY}")).allowed
    unknown = status(ask(trusting_all, asked, None))
    assert not unknown.allowed
    assert "paths belong to no tenant, and the caller to none" == unknown.reason


def test_unknown_members_are_passed_over(guarded: Office) -> None:
    """What newer servers say besides; names and selectors narrow nothing here."""
    asked = review(
        uid="u",
        extra={"scopes": ["x"]},
        resourceAttributes=PODS
        | {
            "name": "pod-1",
            "fieldSelector": {"requirements": [{"key": "a", "operator": "In"}]},
            "labelSelector": {"rawSelector": "((("},
            "another": {},
        },
        another=[1],
    )
    asked |= {"metadata": {"creationTimestamp": None}, "status": {"allowed": False}}

    assert status(ask(guarded.base_url, asked)).allowed


# What is no review


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"kind":"SubjectAccessReview"}',
        review() | {"kind": "LocalSubjectAccessReview"},
        review("authorization.k8s.io/v2"),
        review(nonResourceAttributes={"path": "/x", "verb": "get"}),
        review(resourceAttributes=None),
        review(user=7),
        review(resourceAttributes=PODS | {"verb": 1}),
    ],
)
def test_what_is_no_review_is_refused(guarded: Office, body: Any) -> None:
    """A 400 says what is wrong; both kinds of attributes, or none, are no question."""
    reply = ask(guarded.base_url, body)

    assert (400, "bad_request") == (reply.status, said(reply)["code"])
    assert said(reply)["detail"]


def test_other_bodies_are_refused(guarded: Office) -> None:
    """Another content type, an encoded body, and one that is too large."""
    other = ask(guarded.base_url, review(), Content_Type="application/yaml")
    encoded = ask(guarded.base_url, review(), Content_Encoding="gzip")
    large = ask(guarded.base_url, review(extra={"x": ["y" * (1 << 18)]}))

    assert [415, 415, 413] == [other.status, encoded.status, large.status]
    assert "body_too_large" == said(large)["code"]


# Who asks


def test_a_key_comes_as_a_bearer_or_by_its_own_name(guarded: Office) -> None:
    """A kubeconfig knows only Bearer; API keys count as such, here only."""
    for scheme in ("Bearer", "bearer", "ApiKey"):
        assert status(ask(guarded.base_url, review(), f"{scheme} {ACME_KEY}")).allowed
    elsewhere = request(
        guarded.base_url, "/v1/whoami", Authorization=f"Bearer {ACME_KEY}"
    )
    assert 401 == elsewhere.status


def test_tokens_are_taken_too(guarded: Office) -> None:
    """A service's; a user's if it may ask, as everywhere."""
    assert status(ask(guarded.base_url, review(), guarded.user())).allowed
    unentitled = ask(guarded.base_url, review(), guarded.user(EVE))
    assert (403, "rbac.permission_denied") == (
        unentitled.status,
        said(unentitled)["code"],
    )


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "unauthorized"),
        ("Basic eDp5", "unauthorized"),
        ("Bearer x", "unauthorized"),
        ("Bearer qk_x", "apikey.invalid"),
        ("Bearer qk_acmeAAAA.wrong", "apikey.invalid"),
    ],
)
def test_others_are_refused(
    guarded: Office, authorization: str | None, code: str
) -> None:
    """An API server takes a 401 for an error, and goes by its failure policy."""
    reply = ask(guarded.base_url, review(), authorization)

    assert (401, code) == (reply.status, said(reply)["code"])


def test_where_nobody_is_asked_only_ids_count(trusting_all: str) -> None:
    """Who makes a tenant chooses its slug, which then may be anybody's namespace."""
    by_id = review(resourceAttributes=PODS | {"namespace": ACME})
    closed = review(resourceAttributes=PODS | {"namespace": CLOSED})

    assert status(ask(trusting_all, by_id, None)).allowed
    assert UNKNOWN == status(ask(trusting_all, review(), None)).reason
    inactive = status(ask(trusting_all, closed, None))
    assert "pods:get: the tenant is suspended or deleted" in inactive.reason


def test_a_users_own_key(guarded: Office) -> None:
    """A key of a user's asks as any key of its tenant does."""
    assert status(ask(guarded.base_url, review(), f"Bearer {ANNS_KEY}")).allowed


# What can't be judged


def test_what_cannot_be_judged_is_an_error(settled: str) -> None:
    """Without the database names can't be looked up; past the bound nothing is known."""
    by_id = review(resourceAttributes=PODS | {"namespace": ACME})
    email = review(user="x@y.test", resourceAttributes=PODS | {"namespace": ACME})
    with (
        sidecar(settled, caller_auth="off", max_staleness=2) as open_,
        sidecar(settled, max_staleness=30) as guarded,
    ):
        assert "unknown_permission" in status(ask(open_, by_id, None)).reason
        assert 200 == ask(guarded, by_id).status
        with closed(settled), ThreadPoolExecutor() as pool:
            # Each waits for the database, for as long as a lookup does.
            by_email = pool.submit(ask, open_, email, None)
            by_slug = pool.submit(ask, guarded, review())
            for reply, whose in ((by_email, "users"), (by_slug, "tenants")):
                told = status(reply.result())
                assert not told.allowed
                assert f"the names of {whose} can't be looked up now" == told.error

            def is_stale() -> bool:
                error = status(ask(open_, by_id, None)).error
                return "the replica is older than its staleness bound" == error

            eventually(is_stale)


def test_it_is_counted(cluster_database: str) -> None:
    """By reason, those without a decision among them."""
    with sidecar(cluster_database) as base_url:
        ask(base_url, review())
        ask(base_url, review(user=EVE))
        ask(base_url, review(user="system:x"))
        ask(base_url, review(resourceAttributes=PODS | {"namespace": "x"}))
        ask(base_url, review(resourceAttributes=PODS | {"namespace": ""}))
        metrics = request(base_url, "/metrics").body.decode()

    for result, reason in (
        ("allow", "granted"),
        ("deny", "no_grant"),
        ("deny", "unknown_user"),
        ("deny", "unknown_tenant"),
        ("deny", "unstated"),
    ):
        labels = f'api="kubernetes",reason="{reason}",result="{result}"'
        assert f"qeetid_authz_decisions_total{{{labels}}} 1.0" in metrics


# The documentation's files


def test_the_documented_review(guarded: Office) -> None:
    """Is answered as the page says."""
    reply = ask(guarded.base_url, (SNIPPETS / "review.json").read_bytes())

    assert json.loads((SNIPPETS / "answer.json").read_text()) == json.loads(reply.body)


def test_the_documented_kubeconfig(cluster_database: str, tmp_path: Path) -> None:
    """Leads over TLS to the webhook, with a key where an API server takes one from."""
    config = yaml.safe_load((SNIPPETS / "webhook.kubeconfig").read_text())
    (context,) = config["contexts"]
    (cluster,) = config["clusters"]
    (user,) = config["users"]
    assert ("v1", "Config") == (config["apiVersion"], config["kind"])
    assert config["current-context"] == context["name"]
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}
    assert {"server", "certificate-authority"} == cluster["cluster"].keys()
    assert {"tokenFile"} == user["user"].keys()
    server = cluster["cluster"]["server"]
    assert server.startswith("https://127.0.0.1:4010/")

    pair = make_pair(tmp_path)
    with sidecar(cluster_database, **pair._asdict()) as base_url:
        path = server.removeprefix("https://127.0.0.1:4010")
        body = (SNIPPETS / "review.json").read_bytes()
        head = (
            f"POST {path}?timeout=1s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {ACME_KEY}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, */*\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with TlsWire(base_url, trusting(pair)) as wire:
            wire.send(head.encode() + body)
            assert status(wire.receive()).allowed


def test_the_documented_authorizers() -> None:
    """Are of the form that an API server wants, and ask about the tenant's namespace."""
    config = yaml.safe_load((SNIPPETS / "authorization.yaml").read_text())
    assert "apiserver.config.k8s.io/v1" == config["apiVersion"]
    assert "AuthorizationConfiguration" == config["kind"]
    *others, ours = config["authorizers"]
    webhook = ours["webhook"]

    assert ["Node", "RBAC"] == [each["type"] for each in others]
    assert ("Webhook", {"type", "name", "webhook"}) == (ours["type"], ours.keys())
    assert "v1" == webhook["subjectAccessReviewVersion"]
    assert "v1" == webhook["matchConditionSubjectAccessReviewVersion"]
    assert "KubeConfigFile" == webhook["connectionInfo"]["type"]
    assert webhook["connectionInfo"]["kubeConfigFile"].endswith(
        "/" + next(SNIPPETS.glob("*.kubeconfig")).name
    )
    namespace = json.loads((SNIPPETS / "review.json").read_text())["spec"][
        "resourceAttributes"
    ]["namespace"]
    conditions = [each["expression"] for each in webhook["matchConditions"]]
    assert f"request.resourceAttributes.namespace == '{namespace}'" in conditions
