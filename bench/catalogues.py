"""Role catalogues: generated ones, uniform or of a real one's shape, and files."""

import gzip
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from random import Random

import msgspec

REAL_ROLES = 2_461
REAL_PERMISSIONS = 13_790
OWNER_SHARE = 0.984

# The sizes of the roles of a cloud provider's catalogue at quantiles of their number.
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
_SIZES = (1, 2, 5, 11, 29, 80, 181, 905, 6_547, 11_979)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Permission keys, and roles as positions among them, by name."""

    permissions: tuple[str, ...]
    roles: dict[str, tuple[int, ...]]


def uniform(random: Random, permissions: int, roles: int, size: int) -> Catalogue:
    """Roles of one size, their permissions drawn from all."""
    return Catalogue(
        _keys(permissions),
        {
            f"role {at}": tuple(sorted(random.sample(range(permissions), size)))
            for at in range(roles)
        },
    )


def realistic(seed: int) -> Catalogue:
    """A catalogue of a real one's shape: most roles small, few large, one `owner`.

    A role has a run of neighbouring keys, as roles mostly keep to one service.
    """
    random = Random(seed)
    roles = {"owner": _run(random, round(REAL_PERMISSIONS * OWNER_SHARE))}
    for at in range(1, REAL_ROLES):
        roles[f"role {at}"] = _run(random, _size(random.random()))
    return Catalogue(_keys(REAL_PERMISSIONS), roles)


def choose(path: Path | None, seed: int) -> Catalogue:
    """The catalogue of the file, or without one a generated one of such a shape."""
    return realistic(seed) if path is None else read_catalogue(path)


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue from JSON, gzipped when its name ends in `.gz`.

    Its form is `{"permissions": [key], "roles": {name: {"permissions": [position]}}}`.

    Raises:
        ValueError: the file can't be read or has another form.
    """
    try:
        raw = path.read_bytes()
        unpacked = gzip.decompress(raw) if path.suffix == ".gz" else raw
        read = msgspec.json.decode(unpacked, type=_File)
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise ValueError(
            f"`{path}` is no role catalogue ({error}); bench/README.md has the form"
        ) from error
    roles = {name: role.permissions for name, role in read.roles.items()}
    for name, positions in roles.items():
        if not set(positions) <= set(range(len(read.permissions))):
            raise ValueError(
                f"role `{name}` of `{path}` has a position without a permission;"
                f" there are {len(read.permissions)}"
            )
    return Catalogue(read.permissions, roles)


class _FileRole(msgspec.Struct):
    permissions: tuple[int, ...]


class _File(msgspec.Struct):
    permissions: tuple[str, ...]
    roles: dict[str, _FileRole]


def _keys(count: int) -> tuple[str, ...]:
    verbs = ("read", "write", "create", "delete", "list")
    return tuple(
        f"resource{at // len(verbs)}:{verbs[at % len(verbs)]}" for at in range(count)
    )


def _run(random: Random, size: int) -> tuple[int, ...]:
    start = random.randrange(REAL_PERMISSIONS - size + 1)
    return tuple(range(start, start + size))


def _size(quantile: float) -> int:
    """A role's size, log-linear between the known quantiles."""
    at = bisect_right(_QUANTILES, quantile)
    low, high = _QUANTILES[at - 1], _QUANTILES[at]
    less, more = log(_SIZES[at - 1]), log(_SIZES[at])
    return round(exp(less + (more - less) * (quantile - low) / (high - low)))
