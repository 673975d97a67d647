"""The actions on workers: take no more tasks, take tasks again, stop, and run more or fewer tasks at once.

A worker of Rota gets an order with its next heartbeat, and at once if it gets the notice (`rota.wire.worker_order`). It
obeys the order once, and answers. Orders expire, and a worker that was started again does not see the orders to the one
before. With `fleet` the order is for the supervisor of the worker: all its processes obey, and a supervisor that stops
starts no further process. Without `fleet`, the supervisor replaces a process that stops.

A Go server obeys none of these orders. The only thing that it does on request is to cancel a task that it runs.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rota.client.operations import operation
from rota.client.packing import textual
from rota.client.steps import Act, Command, Pause
from rota.client.verbs import cancel_one
from rota.core.duration import DurationLike, parse
from rota.errors import OptionError, TaskNotFound, WorkerNotFound, WorkerOrderFailed
from rota.inspect.face import Reads
from rota.inspect.named_queue import actor, queue_keys
from rota.inspect.server_snapshot import ServerSnapshot
from rota.wire import worker_order as wire
from rota.wire.worker_order import DONE, WorkerOrder

LIFE = timedelta(seconds=30)
"""How long an order waits for its worker. A heartbeat comes every five seconds by default."""
FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.02, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAnswer:
    """The answer of a worker to an order. `refusal` is empty if the worker has obeyed."""

    server: str
    refusal: str = ""

    @property
    def is_obeyed(self) -> bool:
        """Whether the worker has obeyed."""
        return not self.refusal


class WorkerActions(Reads):
    """The actions on workers. Each takes a server as `app.inspector().servers()` returns it."""

    @operation
    def quiet_worker(
        self, server: ServerSnapshot, *, fleet: bool = False, reason: str = "", by: str = ""
    ) -> Act[WorkerAnswer]:
        """Take no more tasks. The running tasks go on, and the worker stays."""
        return (yield from self._order(server, WorkerOrder(act="quiet", fleet=fleet, by=actor(by), reason=reason)))

    @operation
    def wake_worker(
        self, server: ServerSnapshot, *, fleet: bool = False, reason: str = "", by: str = ""
    ) -> Act[WorkerAnswer]:
        """Take tasks again after `quiet_worker`."""
        return (yield from self._order(server, WorkerOrder(act="wake", fleet=fleet, by=actor(by), reason=reason)))

    @operation
    def stop_worker(
        self, server: ServerSnapshot, *, fleet: bool = False, reason: str = "", by: str = ""
    ) -> Act[WorkerAnswer]:
        """Stop gently. A supervisor starts another process in place of this one, unless `fleet` stops it too."""
        return (yield from self._order(server, WorkerOrder(act="stop", fleet=fleet, by=actor(by), reason=reason)))

    @operation
    def scale_worker(
        self, server: ServerSnapshot, concurrency: int, *, reason: str = "", by: str = ""
    ) -> Act[WorkerAnswer]:
        """Run up to `concurrency` tasks at once. It holds until this process ends.

        If more tasks run now, they go on, and no further task starts before enough of them have ended.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(
                f"The concurrency is {concurrency!r}, but must be 1 or more. To take no tasks, use quiet_worker()."
            )
        order = WorkerOrder(act="scale", concurrency=concurrency, by=actor(by), reason=reason)
        return (yield from self._order(server, order))

    @operation
    def cancel_run(self, server: ServerSnapshot, task_id: str, *, reason: str = "", by: str = "") -> Act[None]:
        """Cancel a task that this server runs. Raises TaskNotFound if it does not run the task (any more).

        Rota archives the task without a retry. A Go server cancels the context of its handler, and what follows is for
        the handler to decide: usually it returns an error, and the task is retried.
        """
        queues = [task.queue for task in server.running if task.id == task_id]
        if not queues:
            raise TaskNotFound(
                f"Server {server.id} ({server.host}) does not run a task {task_id!r}, as of its last heartbeat. Read "
                "the servers again, or cancel the task by its queue and ID."
            )
        why = textual("reason", reason) or f"by {actor(by)}"
        for queue in queues:
            yield from cancel_one(self._keys, queue_keys(self._keys, queue), task_id, why)

    def _order(self, server: ServerSnapshot, order: WorkerOrder, within: DurationLike = LIFE) -> Act[WorkerAnswer]:
        textual("reason", order.reason)
        if server.is_go:
            raise WorkerOrderFailed(
                f"Server {server.id} ({server.host}) runs Asynq's Go library, which does not take orders over Redis. "
                "It can only cancel a task that it runs. Send its process a signal instead: TSTP to take no more "
                "tasks, TERM to stop."
            )
        life = parse(within, "within")
        given: int = yield wire.give(self._keys, server.host, server.pid, server.id, order, life)
        if given == wire.NO_SERVER:
            raise WorkerNotFound(
                f"There is no worker {server.id} ({server.host}, process {server.pid}) any more. Read the list again: "
                "a worker that was started again has another ID."
            )
        if given == wire.TOO_MANY:
            raise WorkerOrderFailed(
                f"Worker {server.id} has many orders that it has not answered, so it got no other one. Look whether "
                "its process hangs."
            )
        yield Command(("PUBLISH", self._keys.cancel, wire.notice(server.id)))
        return (yield from self._answer(server, order, life.total_seconds()))

    def _answer(self, server: ServerSnapshot, order: WorkerOrder, seconds: float) -> Act[WorkerAnswer]:
        key = self._keys.orders(server.host, server.pid, server.id)
        deadline, pause = time.monotonic() + seconds, FIRST_LOOK_SECONDS
        while True:
            answer: bytes | None = yield Command(("HGET", key, wire.answer_field(order.id)), key)
            if answer is not None:
                said = answer.decode(errors="replace")
                return WorkerAnswer(server=server.id, refusal="" if said == DONE else said)
            if time.monotonic() >= deadline:
                raise WorkerOrderFailed(
                    f"Worker {server.id} ({server.host}, process {server.pid}) has not answered within {seconds:g} s, "
                    "and the order has expired. It runs a version of Rota that does not take orders, or its process "
                    "hangs."
                )
            yield Pause(pause)
            pause = min(pause * 1.5, LAST_LOOK_SECONDS)


def matching(servers: Sequence[ServerSnapshot], name: str) -> list[ServerSnapshot]:
    """Return the servers that a name means: an ID or the beginning of one, `host:pid`, or all servers of a host."""
    found = [each for each in servers if name in (each.id, each.host, f"{each.host}:{each.pid}")]
    beginning = name.removeprefix("rota-")
    if not found and len(beginning) >= LEAST_OF_ID:
        found = [each for each in servers if each.id.removeprefix("rota-").startswith(beginning)]
    if not found:
        raise WorkerNotFound(
            f"No worker is called {name!r}. Give an ID or its first {LEAST_OF_ID} characters, host:pid, or a host; "
            "rota worker list shows them."
        )
    return found


LEAST_OF_ID = 4
