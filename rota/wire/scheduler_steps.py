"""The scripts of the scheduler: the election of a leader, and the three steps that fire each planned time once.

A scheduler that is elected has an *epoch*, the fencing number of its election. The state of all schedules is in 16
shards, each on one node of a Cluster. A *batch* is some runs of one shard, with the number `(epoch, batch)`. Its way:

1. `claim` notes the runs, with all that is needed to finish them, and moves the last planned time of their schedules.
   It is refused if the shard has seen a batch with a greater number, or if a planned time is not after the last one.
2. `enqueue_batch` adds the tasks, once for each queue. A queue keeps the number of the last batch of each shard and
   refuses it a second time.
3. `confirm` removes the claims, and appends the records of the runs to the outbox, from where they go to the store.

If anything goes wrong on the way, the leader `take`s the shards again, as a new leader does. That reads the claims that
are not confirmed, which are then finished from step 2 on. A shard sends one batch at a time. So a step can be repeated,
and a late request of a leader that was frozen changes nothing, however late it comes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from zlib import crc32

from rota.wire.enqueue import Item, Reply, enqueue
from rota.wire.keys import Keys, QueueKeys
from rota.wire.names import raw, text
from rota.wire.script import Argument, Call, load

SHARDS = 16
MOST_STATES = 1000
"""Schedules whose states are read by one call."""
MOST_ORDERS = 1000
"""Orders that may wait for the leader."""
ORDERED, NO_LEADER, QUEUE_FULL = 1, 0, -1
"""The results of sending an order."""


class BatchNumber(NamedTuple):
    """The number of a batch. A greater epoch makes a greater number."""

    epoch: int
    batch: int


class Elected(NamedTuple):
    """The answer to a candidacy: the epoch (0 if another scheduler leads), the server's time, and the leader's ID."""

    epoch: int
    now: float
    leader: str


class ShardKeys:
    """The keys of one shard."""

    def __init__(self, keys: Keys, shard: int) -> None:
        base = keys.own(f"scheduler:{{{shard}}}:")
        self.number = shard
        self.fence = base + "epoch"
        self.last = base + "last"
        self.claims = base + "claims"
        self.outbox = base + "outbox"


class SchedulerKeys:
    """The keys of the scheduler. Only Rota has them."""

    def __init__(self, keys: Keys) -> None:
        self.lease = keys.own("scheduler:{scheduler}:leader")
        self.epoch = keys.own("scheduler:{scheduler}:epoch")
        self.inbox = keys.own("scheduler:{scheduler}:inbox")
        self._answers = keys.own("scheduler:{scheduler}:answer:")
        self.shards = tuple(ShardKeys(keys, shard) for shard in range(SHARDS))

    def answer(self, order_id: str) -> str:
        """The key of the answer to an order."""
        return self._answers + order_id

    def shard(self, schedule_id: str) -> ShardKeys:
        """The shard of a schedule. It follows from the ID, and never changes."""
        return self.shards[crc32(raw(schedule_id)) % SHARDS]


class StateChange(NamedTuple):
    """The new state of one schedule. `planned_ms` None leaves its last planned time."""

    schedule_id: str
    planned_ms: int | None
    state: str


class StoredState(NamedTuple):
    """The state of one schedule, as a leader has stored it."""

    planned_ms: int
    state: str


class Refused(NamedTuple):
    """Why a step was refused: the newer number of the shard, or the schedule that was planned further already."""

    newer: BatchNumber | None
    schedule_id: str


class Taken(NamedTuple):
    """The unfinished claims of a shard by the IDs of their runs."""

    claims: Mapping[str, bytes]


class LeaderLook(NamedTuple):
    """The scheduler that leads ("" if none does), and the number of orders that wait for it."""

    leader: str
    orders: int


class ShardLook(NamedTuple):
    """Numbers of one shard: schedules, runs that are claimed and not confirmed, records that wait for the store."""

    schedules: int
    claims: int
    records: int


def elect(keys: SchedulerKeys, owner: str, life: timedelta, *, above: int = 0) -> Call[Elected]:
    """Ask to lead, or to go on leading, for `life` from now, with an epoch greater than `above`."""
    args = (owner, round(life.total_seconds() * 1000), above)
    return Call(load("scheduler_elect"), (keys.lease, keys.epoch), args, _elected)


def resign(keys: SchedulerKeys, owner: str) -> Call[Elected]:
    """End the lease of this scheduler, so that another one can lead at once."""
    return elect(keys, owner, timedelta(0))


def take(shard: ShardKeys, number: BatchNumber) -> Call[Taken | Refused]:
    """Read the claims of a shard. From then on its batches must have greater numbers than this one."""
    return Call(load("scheduler_take"), (shard.fence, shard.claims), number, _taken)


def states(shard: ShardKeys, schedule_ids: Sequence[str]) -> Call[dict[str, StoredState]]:
    """Read the states of up to `MOST_STATES` schedules of one shard. Those without a state are left out."""

    def decode(reply: Any) -> dict[str, StoredState]:
        return {id: _stored(state) for id, state in zip(schedule_ids, reply, strict=True) if state is not None}

    return Call(load("scheduler_states"), (shard.last,), tuple(schedule_ids), decode)


def claim(
    shard: ShardKeys,
    number: BatchNumber,
    states: Sequence[StateChange],
    runs: Mapping[str, bytes],
    records: Sequence[bytes] = (),
) -> Call[Refused | None]:
    """Claim the runs of a batch, all or none. `records` are those of planned times that are skipped."""
    args: list[Argument] = [*number, len(states)]
    for change in states:
        args += (change.schedule_id, "" if change.planned_ms is None else change.planned_ms, change.state)
    args.append(len(runs))
    for run_id, claimed in runs.items():
        args += (run_id, claimed)
    script_keys = (shard.fence, shard.last, shard.claims, shard.outbox)
    return Call(load("scheduler_claim"), script_keys, [*args, *records], _refused)


def enqueue_batch(
    keys: QueueKeys, shard: ShardKeys, number: BatchNumber, items: Sequence[Item]
) -> Call[list[Reply] | None]:
    """Add the tasks of a batch to one queue. Returns None if they were added before."""
    call = enqueue(keys, items)
    script_keys = (*call.keys, keys.own("scheduler"))
    args = [*call.args, *number, shard.number]
    return Call(load("scheduler_enqueue"), script_keys, args, lambda reply: call.decode(reply) if reply else None)


def confirm(shard: ShardKeys, epoch: int, runs: Iterable[str], records: Sequence[bytes] = ()) -> Call[bool]:
    """End the claims of runs whose tasks are enqueued. Returns False if another leader has taken the shard."""
    done = list(runs)
    args: list[Argument] = [epoch, len(done), *done, *records]
    return Call(load("scheduler_confirm"), (shard.fence, shard.claims, shard.outbox), args, bool)


def outbox(shard: ShardKeys, epoch: int, *, remove: int, most: int) -> Call[list[bytes] | None]:
    """Remove the oldest records, which are in the store, and read the next ones. None: another leader has the shard."""
    return Call(
        load("scheduler_outbox"),
        (shard.fence, shard.outbox),
        (epoch, remove, most),
        lambda reply: None if reply == 0 else list(reply),
    )


def send_order(keys: SchedulerKeys, order: bytes, *, most: int = MOST_ORDERS) -> Call[int]:
    """Add an order about a schedule to the inbox of the leader. Returns `ORDERED`, `NO_LEADER` or `QUEUE_FULL`."""
    return Call(load("edit_schedule"), (keys.inbox, keys.lease), (order, most), int)


class AnsweredOrder(NamedTuple):
    """An order that was carried out, as it stands in the inbox, and its answer. The ID is empty if it has none."""

    order: bytes
    id: str
    answer: bytes


def inbox(keys: SchedulerKeys, done: Sequence[AnsweredOrder], *, most: int, life: timedelta) -> Call[list[bytes]]:
    """Answer and remove the orders that are carried out, and read the oldest ones of the others."""
    script_keys = (keys.inbox, *(keys.answer(each.id) for each in done))
    args: list[Argument] = [most, round(life.total_seconds() * 1000)]
    for each in done:
        args += (each.order, each.answer)
    return Call(load("scheduler_inbox"), script_keys, args, lambda reply: list(reply))


def look(keys: SchedulerKeys) -> Call[LeaderLook]:
    """Read which scheduler leads, and how many orders wait."""
    return Call(
        load("look_scheduler"),
        (keys.lease, keys.inbox),
        (),
        lambda reply: LeaderLook("" if reply[0] is None else text(reply[0]), reply[1]),
    )


def look_shard(shard: ShardKeys) -> Call[ShardLook]:
    """Count what is in one shard."""
    return Call(load("look_shard"), (shard.last, shard.claims, shard.outbox), (), lambda reply: ShardLook(*reply))


def _elected(reply: Any) -> Elected:
    epoch, now, leader = reply
    return Elected(epoch, float(now), text(leader))


def _taken(reply: Any) -> Taken | Refused:
    if not reply[0]:
        return Refused(_number(reply[1]), "")
    _, claims = reply
    return Taken({text(id): claimed for id, claimed in zip(claims[::2], claims[1::2], strict=True)})


def _refused(reply: bytes) -> Refused | None:
    if not reply:
        return None
    return Refused(None, text(reply[1:])) if reply.startswith(b"!") else Refused(_number(reply), "")


def _number(mark: bytes) -> BatchNumber:
    epoch, _, batch = mark.partition(b" ")
    return BatchNumber(int(epoch), int(batch))


def _stored(value: bytes) -> StoredState:
    planned, _, state = value.partition(b" ")
    return StoredState(int(planned), text(state))
