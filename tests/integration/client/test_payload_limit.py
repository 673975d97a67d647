"""Payloads have a limit: what is larger is refused with a clear error, before anything is written, on every way."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from rota import PayloadError, Rota
from rota.broker import Broker
from rota.broker.sync import SyncBroker
from rota.client import Client, SyncClient
from rota.client.batch import cut, in_chunks
from rota.client.packing import PAYLOAD_LIMIT_BYTES
from rota.tasks.job import Plan, Receipt
from rota.tasks.options import NO_OPTIONS
from rota.tasks.policy import Debounce
from tests.integration.client.conftest import Desk, plan
from tests.servers.roles import as_role

LIMIT = 1000
BIG = b"x" * (LIMIT + 1)
SAID = "would take 1001 bytes, more than the 1000 allowed.*raise payload_limit_bytes"


@pytest.fixture
async def limited(any_url: str) -> AsyncIterator[Client]:
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        yield Client(broker, payload_limit_bytes=LIMIT)


@pytest.fixture
def blocking(any_url: str) -> Any:
    client = SyncClient(SyncBroker.from_url(as_role(any_url, "producer")), payload_limit_bytes=LIMIT)
    yield client
    client.close()


@pytest.mark.parametrize(
    "words",
    [{}, {"unique": "1m"}, {"group": "g"}, {"delay": timedelta(seconds=9)}, {"debounce": Debounce("k", "1s")}],
    ids=lambda words: next(iter(words), "plain"),
)
async def test_payload_over_the_limit_is_refused_and_nothing_is_written(
    limited: Client, desk: Desk, words: dict[str, Any]
) -> None:
    with pytest.raises(PayloadError, match=SAID):
        await limited.enqueue(plan(BIG, **words))

    assert await desk.broker.admin.execute("DBSIZE") == 0
    await limited.enqueue(plan(BIG[1:], **words))


async def test_headers_over_the_limit_are_refused(limited: Client) -> None:
    with pytest.raises(PayloadError, match=r"The headers of t would take 1002 bytes"):
        await limited.enqueue(plan(headers={"a": "x" * 1001}))


async def test_many_tasks_have_one_outcome_each(limited: Client, desk: Desk) -> None:
    results = await limited.enqueue_many([plan(b"1"), plan(BIG), plan(b"2")])

    assert [type(result).__name__ for result in results] == ["Job", "PayloadError", "Job"]
    assert len(await desk.ids("pending")) == 2


async def test_new_payload_over_the_limit_is_refused(limited: Client, desk: Desk) -> None:
    job = await limited.enqueue(plan(b"old"))

    with pytest.raises(PayloadError, match=SAID):
        await job.update_payload(BIG)
    with pytest.raises(PayloadError, match="is a str, but must be bytes"):
        await job.update_payload("text")  # type: ignore[arg-type]
    assert (await desk.message(job.id)).payload == b"old"


async def test_blocking_client_has_the_same_limit(blocking: SyncClient, desk: Desk) -> None:
    job = blocking.enqueue(plan(b"old"))

    with pytest.raises(PayloadError, match=SAID):
        blocking.enqueue(plan(BIG))
    with pytest.raises(PayloadError, match=SAID):
        job.update_payload(BIG)
    with pytest.raises(PayloadError, match=SAID):
        blocking.sending(wait_replicas=0, when_away="fail").enqueue(plan(BIG))
    assert isinstance(blocking.enqueue_many([plan(BIG)])[0], PayloadError)
    assert await desk.ids("pending") == [job.id]


async def test_limit_is_a_setting_and_has_a_default(any_url: str) -> None:
    app = Rota(as_role(any_url, "producer"), settings={"payload_limit_bytes": LIMIT})
    plain = Rota(as_role(any_url, "producer"))
    try:
        with pytest.raises(PayloadError, match="more than the 1000 allowed"):
            await app.enqueue("x:y", {"text": "x" * LIMIT})
        with pytest.raises(PayloadError, match="more than the 1000 allowed"):
            await app.client.sending(when_away="fail").enqueue(Plan("x:y", BIG))
        with pytest.raises(PayloadError, match="more than the 1000 allowed"):
            app.enqueue_sync("x:y", BIG)
        with pytest.raises(PayloadError, match=f"more than the {PAYLOAD_LIMIT_BYTES} allowed"):
            await plain.enqueue("x:y", b"x" * (PAYLOAD_LIMIT_BYTES + 1))
        await plain.enqueue("x:y", b"x" * PAYLOAD_LIMIT_BYTES)
    finally:
        await app.aclose()
        await plain.aclose()
    assert (
        plain.settings.enqueue.payload_limit_bytes == plain.settings.results.result_limit_bytes == PAYLOAD_LIMIT_BYTES
    )


async def test_requests_of_many_tasks_are_bounded_in_bytes(limited: Client) -> None:
    plans = [Plan("t", b"x" * 1024 * 1024, NO_OPTIONS)] * 10

    async def stream() -> AsyncIterator[Plan[Any]]:
        for each in plans:
            yield each

    assert [len(chunk) for chunk in cut(plans, 500)] == [4, 4, 2]
    assert [len(chunk) async for chunk in in_chunks(stream(), 500)] == [4, 4, 2]
    assert [len(chunk) for chunk in cut(plans, 3)] == [3, 3, 3, 1]


async def test_many_large_payloads_arrive_in_their_order(client: Client, desk: Desk) -> None:
    results = await client.enqueue_many([plan(b"%d" % number + b"x" * 1_000_000) for number in range(12)])

    assert await desk.ids("pending") == [job.id for job in reversed(results) if isinstance(job, Receipt)]
