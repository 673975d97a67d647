"""What sweeps the queues of a worker, made from its settings."""

from datetime import timedelta
from typing import TYPE_CHECKING

from rota.broker.broker import Broker
from rota.policy import Retry
from rota.wire.recover import Slack
from rota.wire.sweep import Limits
from rota.worker.forwarder import Forwarder
from rota.worker.janitor import Janitor
from rota.worker.reconciler import Reconciler
from rota.worker.recoverer import Recoverer, as_failure
from rota.worker.sweeper import Sweeper
from rota.worker.turn import Turn

if TYPE_CHECKING:
    from rota.worker.worker import Worker


class Sweep:
    """The sweeper and those who do what it finds."""

    def __init__(self, worker: "Worker", broker: Broker) -> None:
        settings = worker.settings
        every, slack = settings.sweep_interval, Slack(settings.lease_slack, settings.go_lease_slack)
        # Whoever dies right after a look is known to the next one as dying, and the one after that comes in time.
        ahead = max(every * 1.1 - slack.ours, timedelta())
        limits = Limits(slack, settings.archive_max, settings.archive_age, ahead)
        self.forwarder = Forwarder(broker, limit=settings.forward_batch)
        self.janitor = Janitor(
            broker, archive_size=limits.archive_size, archive_age=limits.archive_age, limit=settings.janitor_batch
        )
        self.recoverer = _recoverer(worker, broker, slack)
        self.reconciler = Reconciler(broker, max_crashes=settings.max_crashes, every=settings.reconcile_interval)
        self.sweeper = Sweeper(
            broker,
            worker.queue_names,
            Turn(broker, worker.server_id, every, (limits, settings.max_crashes)),
            limits,
            forwarder=self.forwarder,
            janitor=self.janitor,
            recoverer=self.recoverer,
            reconciler=self.reconciler,
            note=lambda queue: worker.lanes.note(queue),
            every=every,
        )


def _recoverer(worker: "Worker", broker: Broker, slack: Slack) -> Recoverer:
    settings = worker.settings
    return Recoverer(
        broker,
        as_failure(lambda type_name: _policy(worker, type_name)),
        own_tokens=lambda: [attempt.token for attempt in worker.held()],
        slack=slack,
        # Those who live show it at their next beat, and a beat that failed is repeated sooner.
        settle=2 * settings.heartbeat,
        max_crashes=settings.max_crashes,
        clock=worker.clock,
    )


def _policy(worker: "Worker", type_name: str) -> Retry | None:
    handler = worker.app.find_handler(type_name)
    return None if handler is None else handler.retry
