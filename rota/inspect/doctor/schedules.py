"""Checks for schedules that nothing fires, and for runs that do not get into the store."""

from rota.broker import Broker
from rota.core.text import counted
from rota.errors import BrokerError
from rota.inspect.doctor.finding import Finding, error, warning
from rota.wire.scheduler_steps import SchedulerKeys, ShardLook, look, look_shard
from rota.wire.script import Call

MOST_RECORDS = 10_000
"""The leader moves records to the store each second, so that more of them mean that the store is away."""


async def schedules(broker: Broker) -> list[Finding]:
    """Report schedules without a scheduler, claimed runs without a leader, and records that pile up."""
    keys = SchedulerKeys(broker.keys)
    calls: list[Call[ShardLook]] = [look_shard(shard) for shard in keys.shards]
    try:
        leader = await broker.run(look(keys))
        replies: list[ShardLook | BrokerError] = await broker.run_many(calls)
    except BrokerError:
        return []  # the user has too few rights to look, which another finding says
    seen = [reply for reply in replies if isinstance(reply, ShardLook)]
    known, claims, records = (sum(numbers) for numbers in zip(*seen, strict=True)) if seen else (0, 0, 0)
    found: list[Finding] = []
    if known and not leader.leader:
        left = f" {counted(claims, 'run')} of the last leader waits to be finished." if claims else ""
        found.append(
            error(
                "no-scheduler",
                f"{counted(known, 'schedule')} are known here, but no scheduler leads, so none of them fires.{left}",
                "The schedulers have stopped, or cannot reach the server.",
                "Start one: `rota worker` does so by itself, `rota scheduler` runs one alone.",
            )
        )
    if records > MOST_RECORDS:
        found.append(
            warning(
                "runs-not-recorded",
                f"{records} records of runs wait for the store.",
                "The store is away, or no scheduler with a store (ROTA_STORE) leads any more.",
                "Bring the store back. If there is none any more, the records can be deleted: rota:scheduler:*:outbox.",
            )
        )
    return found
