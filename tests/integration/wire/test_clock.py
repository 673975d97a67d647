"""The time that scripts write, as Go reads it: nanoseconds since 1970 as text."""

import pytest

from rota.wire.enqueue import enqueue_plain
from rota.wire.script import load
from tests.integration.wire.conftest import Seed
from tests.servers.overseen import Overseen

TIME = "redis.call('TIME')"


@pytest.mark.parametrize("micros", [0, 7, 42, 99_999, 100_000, 999_999])
async def test_nanoseconds_are_written_with_all_their_digits(broker: Overseen, micros: int) -> None:
    fragment = load("clock").source.decode()
    assert TIME in fragment
    script = f"{fragment.replace(TIME, '{ARGV[1], ARGV[2]}')}\nreturn {{now_ns, string.format('%.6f', now)}}"

    written, number = await broker.admin.execute("EVAL", script, 0, 1_700_000_000, micros)

    assert int(written) == (1_700_000_000 * 1_000_000 + micros) * 1000
    assert number.decode() == f"{1_700_000_000 + micros / 1e6:.6f}"


@pytest.mark.parametrize("count", [1, 2])
async def test_task_is_pending_since_its_enqueue_by_the_servers_clock(broker: Overseen, count: int) -> None:
    seed = Seed(broker)
    ids = [f"task-{number}" for number in range(count)]
    before = await seed.now()

    added = await broker.run(enqueue_plain(seed.keys, [word for task_id in ids for word in (task_id, b"message")]))

    after = await seed.now()
    assert added == count
    assert sorted(await seed.ids("pending")) == ids
    for task_id in ids:
        assert before - 1e-6 <= int(await seed.field(task_id, "pending_since") or 0) / 1e9 <= after + 1e-6
        assert await seed.field(task_id, "msg") == "message"
