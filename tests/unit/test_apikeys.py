"""The directory of API keys, as updates change it."""

from qeetid_authz.apikeys import ApiKeys
from qeetid_authz.model import ApiKey, Changes, Snapshot
from qeetid_authz.revision import Revision
from tests.tables import named

NOW = Revision("life", 1, 1)
ONE, TWO = named("key", 1), named("key", 2)


def key(prefix: str, *, revoked: bool = False) -> ApiKey:
    return ApiKey(named("tenant", 1), None, prefix, "hash", (), None, revoked)


def directory(**rows: ApiKey) -> ApiKeys:
    keys = ApiKeys()
    named_rows = {{"one": ONE, "two": TWO}[name]: row for name, row in rows.items()}
    keys.publish(Snapshot(NOW, api_keys=named_rows))
    return keys


def test_a_prefix_may_have_several_keys() -> None:
    """Keys that share a prefix are all candidates, and go one by one."""
    keys = directory(one=key("qk_a"), two=key("qk_a"))
    assert {ONE, TWO} == {id_ for id_, _ in keys.candidates("qk_a")}

    keys.publish(Changes(NOW, api_keys={ONE: None}))

    assert [TWO] == [id_ for id_, _ in keys.candidates("qk_a")]
    assert keys.row(ONE) is None


def test_a_revoked_key_is_no_candidate() -> None:
    """A revoked key is known and matches nothing."""
    keys = directory(one=key("qk_a", revoked=True))

    assert [] == list(keys.candidates("qk_a"))
    assert keys.row(ONE) is not None


def test_a_row_that_did_not_change_stays_the_same_object() -> None:
    """Only a row that differs is another object, however it was read again."""
    keys = directory(one=key("qk_a"), two=key("qk_b"))
    one, two = keys.row(ONE), keys.row(TWO)

    keys.publish(Changes(NOW, api_keys={ONE: key("qk_a"), TWO: key("qk_c")}))
    keys.publish(Snapshot(NOW, api_keys={ONE: key("qk_a"), TWO: key("qk_c")}))
    keys.publish(NOW)

    assert keys.row(ONE) is one
    assert keys.row(TWO) is not two
    assert [] == list(keys.candidates("qk_b"))


def test_a_snapshot_lacks_what_is_gone() -> None:
    """A key that a later snapshot doesn't have is forgotten."""
    keys = directory(one=key("qk_a"))

    keys.publish(Snapshot(NOW))

    assert keys.row(ONE) is None
