import pytest

from rota.wire.keys import QueueKeys, own_unique_key, unique_key


@pytest.mark.parametrize(
    ("queue", "payload", "key"),
    [
        ("q", None, "asynq:{q}:unique:t:"),
        ("q", b"", "asynq:{q}:unique:t:d41d8cd98f00b204e9800998ecf8427e"),
        ("q", b"{}", "asynq:{q}:unique:t:99914b932bd37a50b983c5e7c90ae93b"),
        ("default", b"1", "asynq:{default}:unique:t:c4ca4238a0b923820dcc509a6f75849b"),
    ],
)
def test_the_lock_is_the_one_that_go_takes(queue: str, payload: bytes | None, key: str):
    assert unique_key(QueueKeys(queue), "t", payload) == key


def test_a_lock_lives_under_the_prefix_of_its_queue():
    assert unique_key(QueueKeys("q", "team"), "t", None) == "team:{q}:unique:t:"
    assert own_unique_key(QueueKeys("q", "team"), "t", "k").startswith("team:{q}:unique:t:")


def test_colons_in_types_and_own_keys_do_not_make_two_locks_one():
    keys = QueueKeys("q")
    assert own_unique_key(keys, "a", "b:c") != own_unique_key(keys, "a:b", "c")


def test_an_own_key_is_never_the_lock_of_a_payload():
    keys = QueueKeys("q")
    assert own_unique_key(keys, "t", "{}") != unique_key(keys, "t", b"{}")
