"""The actions on whole queues: pause, resume, drain and delete, as `app.actions()` has them.

- `pause` stops the workers of a queue, its producers, or both. Workers of Asynq obey it, Go producers do not.
- `drain` refuses producers and lets the workers go on. `watch_drain` says what is left and when it will be done.
- `resume` ends both. So does a Go program that resumes a queue, except for a refusal of the producers alone.
- `delete_queue` deletes everything, in batches. It can be broken off and finished later.

A queue refuses each enqueue of Rota with `QueuePaused` while its producers are stopped, also those of handlers, whose
tasks then fail and are retried. A schedule skips its run with that reason. Accepted tasks are never refused: retries,
scheduled tasks, and the results of aggregations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rota.client.operations import operation
from rota.client.packing import textual
from rota.client.steps import Act, Pause
from rota.core.duration import DurationLike, parse
from rota.core.text import did_you_mean
from rota.errors import OptionError, QueueStateError
from rota.inspect.deleting_queue import QueueDeletion
from rota.inspect.face import Reads, Stream, streamed
from rota.inspect.named_queue import actor, check_exists, queue_keys
from rota.wire import pause as wire_pause
from rota.wire import queue_drain as wire_drain
from rota.wire.keys import QueueKeys
from rota.wire.pause import Kind, Pauses, Whom
from rota.wire.queue_drain import WorkToDrain

WHOM: Sequence[Whom] = ("workers", "producers", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainProgress:
    """The work that is left of a queue that is being drained, and a forecast.

    `runnable` counts the tasks that wait or run, `later` those that are scheduled or wait for a retry until `last_due`,
    `groups` the groups that wait for their aggregation. `ends_at` is the forecast from the rate since the watch began;
    None if nothing has ended since then. `is_paused`: the workers are paused as well, so nothing ends.
    """

    queue: str
    runnable: int
    running: int
    later: int
    groups: int
    last_due: datetime | None
    ends_at: datetime | None
    is_paused: bool
    taken_at: datetime

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to run."""
        return not (self.runnable or self.later or self.groups)


class QueueActions(Reads):
    """The actions on whole queues."""

    @operation
    def pause(self, queue: str, whom: Whom = "workers", *, reason: str = "", by: str = "") -> Act[Pauses]:
        """Stop the workers of a queue, its producers, or both, until `resume`. Return how it is paused then.

        `by` is the user of this program by default. A later pause replaces who and why. Raises QueueNotFound, and
        QueueStateError while the queue is being deleted.
        """
        if whom not in WHOM:
            raise OptionError(f"A queue cannot be paused for {whom!r}. {did_you_mean(str(whom), WHOM)}")
        return (yield from self._stop(queue, whom, "pause", reason, by))

    @operation
    def drain(self, queue: str, *, reason: str = "", by: str = "") -> Act[Pauses]:
        """Refuse new tasks, and let the workers run what is there. Follow it by `watch_drain`; end it by `resume`."""
        return (yield from self._stop(queue, "producers", "drain", reason, by))

    @operation
    def resume(self, queue: str, whom: Whom = "both") -> Act[Pauses]:
        """Let the workers take tasks again, the producers enqueue, or both. Return how the queue was paused.

        A queue that is being deleted is resumed too: the deletion ends, and the tasks that are still there stay.
        """
        if whom not in WHOM:
            raise OptionError(f"A queue cannot be resumed for {whom!r}. {did_you_mean(str(whom), WHOM)}")
        was: Pauses = yield wire_pause.resume(queue_keys(self._keys, queue), whom)
        return was

    @operation
    def queue_pause(self, queue: str) -> Act[Pauses]:
        """Return for whom a queue is paused, by whom and why."""
        found: Pauses = yield wire_pause.look(queue_keys(self._keys, queue))
        return found

    @streamed
    def watch_drain(self, queue: str, *, every: DurationLike = "1s") -> "DrainWatch":
        """Yield the progress of a drain every second, until nothing is left to run."""
        return DrainWatch(queue_keys(self._keys, queue), parse(every, "every"))

    @streamed
    def delete_queue(self, queue: str, *, force: bool = False, reason: str = "", by: str = "") -> "QueueDeletion":
        """Delete a queue with everything that belongs to it, in batches, and yield the progress.

        While it runs, workers take no tasks and producers are refused. Raises QueueStateError while tasks run or groups
        are being aggregated, unless it is forced: then their handlers are cancelled at the next heartbeat, and their
        results are discarded. If the loop is left, the queue stays closed: delete it again, or resume it.
        """
        return QueueDeletion(self._keys, queue, force=force, by=actor(by), reason=textual("reason", reason))

    def _stop(self, queue: str, whom: Whom, kind: Kind, reason: str, by: str) -> Act[Pauses]:
        keys = queue_keys(self._keys, queue)
        reason, by = textual("reason", reason), actor(by)
        yield from check_exists(self._keys, queue)
        paused: Pauses | None = yield wire_pause.pause(keys, whom, by=by, reason=reason, kind=kind)
        if paused is None:
            raise QueueStateError(
                f"Queue {queue!r} is being deleted, so it cannot be paused or drained. Wait until it is gone, or "
                "resume it first, which ends the deletion."
            )
        return paused


class DrainWatch(Stream[DrainProgress]):
    """Follows a drain."""

    def __init__(self, keys: QueueKeys, every: timedelta) -> None:
        self._keys = keys
        self._every = every
        self._first: WorkToDrain | None = None
        self._over = False

    def next_batch(self) -> Act[DrainProgress | None]:
        """Look again after the interval; None once nothing is left."""
        if self._over:
            return None
        if self._first is not None:
            yield Pause(self._every.total_seconds())
        seen: WorkToDrain = yield wire_drain.look(self._keys)
        self._first = self._first or seen
        progress = _progress(self._keys.queue, self._first, seen)
        self._over = progress.is_empty
        return progress


def _progress(queue: str, first: WorkToDrain, seen: WorkToDrain) -> DrainProgress:
    now = datetime.fromtimestamp(seen.now, UTC)
    runnable = seen.pending + seen.active
    ended, took = _all(first) - _all(seen), seen.now - first.now
    ends_at = now if not _all(seen) else None
    if ended > 0 and not seen.paused:
        ends_at = now + timedelta(seconds=took * _all(seen) / ended)
        if seen.last_due is not None:
            ends_at = max(ends_at, seen.last_due)
    return DrainProgress(
        queue=queue,
        runnable=runnable,
        running=seen.active,
        later=seen.scheduled + seen.retry,
        groups=seen.groups,
        last_due=seen.last_due,
        ends_at=ends_at,
        is_paused=seen.paused,
        taken_at=now,
    )


def _all(work: WorkToDrain) -> int:
    return work.pending + work.active + work.scheduled + work.retry + work.groups
