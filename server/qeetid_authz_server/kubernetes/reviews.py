"""SubjectAccessReviews: what a Kubernetes API server asks, and how it is answered.

`authorization.k8s.io/v1`, and `v1beta1`, which differs in how it spells `groups`.
"""

from typing import Any, Final

import msgspec

KIND: Final = "SubjectAccessReview"
VERSIONS: Final = ("authorization.k8s.io/v1", "authorization.k8s.io/v1beta1")


class ReviewError(ValueError):
    """A body is no review; the message says what is wrong with it."""


class ResourceAttributes(msgspec.Struct, gc=False):
    """What is to be done to which resource.

    Its name, its version and selectors are not looked at: a permission is about all
    resources of a kind.
    """

    namespace: str = ""
    verb: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""


class NonResourceAttributes(msgspec.Struct, gc=False):
    """What is to be done to which path of the API server."""

    path: str = ""
    verb: str = ""


class Spec(msgspec.Struct, rename="camel"):
    """Who wants to do what; the groups that are named are Qeet ID's to know."""

    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None
    user: str = ""


class Review(msgspec.Struct, rename="camel"):
    """The body of a request."""

    api_version: str
    kind: str
    spec: Spec

    @property
    def asked(self) -> ResourceAttributes | NonResourceAttributes:
        """The one of the two that is there."""
        found = self.spec.resource_attributes or self.spec.non_resource_attributes
        assert found is not None  # noqa: S101  (it was read)
        return found


_decoder = msgspec.json.Decoder(Review)


def read_review(body: bytes) -> Review:
    """Read a body; members that are unknown are passed over.

    Raises:
        ReviewError: it is none, or asks for nothing or for two things at once.
    """
    try:
        review = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReviewError(f"invalid body: {error}") from None
    if review.kind != KIND or review.api_version not in VERSIONS:
        raise ReviewError(f"send a `{KIND}` of {' or '.join(VERSIONS)}")
    resource, path = (
        review.spec.resource_attributes,
        review.spec.non_resource_attributes,
    )
    if (resource is None) == (path is None):
        raise ReviewError(
            "exactly one of `resourceAttributes` and `nonResourceAttributes` must be"
            " there"
        )
    return review


def answer(
    review: Review, *, allowed: bool, reason: str, error: str = ""
) -> dict[str, Any]:
    """What is answered: allowed, or no opinion, which leaves it to other authorizers.

    Args:
        review: what was asked.
        allowed: whether the user may.
        reason: why, or why not.
        error: why it couldn't be judged, if it couldn't.
    """
    status: dict[str, Any] = {"allowed": allowed, "reason": reason}
    if error:
        status["evaluationError"] = error
    return {"apiVersion": review.api_version, "kind": review.kind, "status": status}
