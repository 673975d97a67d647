"""Orders to workers as they are stored."""

import pytest

from rota.wire import worker_order
from rota.wire.worker_order import WorkerOrder


def test_order_is_read_as_it_was_written() -> None:
    order = WorkerOrder(act="scale", concurrency=7, fleet=True, by="安娜", reason="more")
    assert WorkerOrder.from_json(order.id, order.to_json()) == order
    assert WorkerOrder(act="quiet").id != WorkerOrder(act="quiet").id


@pytest.mark.parametrize(
    "data", [b"no JSON", b"{}", b'{"act": "dance"}', b'{"act": "stop", "softly": true}', b"[1]", b"\xff"]
)
def test_order_of_a_later_version_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the text comes from json or from us
        WorkerOrder.from_json("o1", data)


def test_orders_in_a_reply_are_pairs() -> None:
    assert worker_order.read_orders([b"o1", b"{}", b"o2", b"[]"]) == [("o1", b"{}"), ("o2", b"[]")]


def test_notice_names_the_server() -> None:
    assert worker_order.notice("rota-1") == "rota-order rota-1"
