"""From what Kubernetes has to what Qeet ID has: verbs and resources to permissions."""

from qeetid_authz_server.kubernetes.reviews import (
    NonResourceAttributes,
    ResourceAttributes,
)

_SEPARATORS = frozenset("/:")


def permission_of(asked: ResourceAttributes | NonResourceAttributes) -> str | None:
    """The key of the permission that is needed; None where no key could mean that.

    `[group/]resource[/subresource]:verb`, or `path:verb`. A part that holds a
    separator is none of Kubernetes' own, and might be read as another key.
    """
    if isinstance(asked, NonResourceAttributes):
        parts, is_sound = [asked.path], asked.path.startswith("/")
    else:
        parts = [asked.resource]
        if asked.group:
            parts.insert(0, asked.group)
        if asked.subresource:
            parts.append(asked.subresource)
        is_sound = all(map(_is_plain, parts))
    key = f"{'/'.join(parts)}:{asked.verb}"
    return key if is_sound and _is_plain(asked.verb) and key.isprintable() else None


def _is_plain(part: str) -> bool:
    return part != "" and _SEPARATORS.isdisjoint(part)
