"""Reports failures to Sentry. Needs `rota[sentry]`.

Call `sentry_sdk.init(...)` first, then `instrument(app)`:

1. A task that has failed for good is one report, with the tags `task_type`, `queue`, `task_id` and `attempt`. A failure
   that is retried is not reported, unless `retries=True`. A cancelled task is not a failure.
2. Each run has a scope of its own, so that the tags and breadcrumbs that one task sets are in its own report only. If
   tracing is on, each run is a transaction `queue.process`.
3. Other errors of Rota, such as a lost lease, are reports that Sentry groups by the name of the event, with the
   traceback if there is one. An outage of the broker is reported when it has lasted for a minute (`BrokerStillAway`).

Log lines of Rota are not reports, because the same failure would be reported twice. Events belong to the process, so
the failures of all apps in the process are reported.
"""

import logging
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from rota import events
from rota.errors import OptionError
from rota.tasks.context import Context

if TYPE_CHECKING:
    from sentry_sdk import Scope

    from rota.app import Rota

MOST_SCOPES = 1000
"""How many scopes of failed runs are kept until their reports are made."""
_instrumented: "set[Rota]" = set()


def instrument(app: "Rota", *, retries: bool = False) -> None:
    """Report the failures of an app. Call it right after the app is made, and once in a process.

    With `retries` each failed run is a report, and not only the last one of a task.
    """
    if _instrumented:
        raise OptionError(
            "Sentry is instrumented in this process already: a second instrument(app) would make each report twice."
        )
    _instrumented.add(app)
    kinds = _kinds()
    for name in {events.RunEvent.logger, *(kind.logger for kind in kinds)}:
        ignore_logger(name)
    reports = _Reports(retries=retries)
    app.middleware(reports.run)
    events.on(*kinds)(reports.report)


def _kinds() -> list[type[events.Event]]:
    """Return the classes of events, without `TaskStarted` and `TaskEnded`.

    These two happen for every task and are never reports. To subscribe to them would slow down a busy worker, and they
    could fill the queue of events, so that a failure would be dropped.
    """
    kinds: list[type[events.Event]] = [events.Event]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return [kind for kind in kinds if not kind.__subclasses__() and not issubclass(kind, events.RunEvent)]


class _Reports:
    def __init__(self, *, retries: bool) -> None:
        self._retries = retries
        self._lock = threading.Lock()
        self._scopes: dict[tuple[str, str, int], Scope] = {}

    async def run(self, context: Context) -> AsyncGenerator[None]:
        """Run a task in a scope of its own, and keep the scope for the report if the run fails."""
        with sentry_sdk.isolation_scope() as scope:
            attempt = context.retried + 1
            _tag(scope, context.type, context.queue, context.id, attempt)
            transaction = sentry_sdk.continue_trace(
                dict(context.headers), op="queue.process", name=context.type, source="task"
            )
            with sentry_sdk.start_transaction(transaction):
                try:
                    yield
                except BaseException:  # a cancel too, because a time limit stops a task by one
                    self._keep((context.queue, context.id, attempt), scope)
                    raise

    def report(self, event: events.Event) -> None:
        """Report an event, if it is one of those that are reported. Runs in the thread for callbacks."""
        if isinstance(event, events.OutcomeEvent):
            scope = self._take((event.queue, event.task_id, event.attempt))
            final = isinstance(event, events.TaskArchived) and event.final
            if final or (self._retries and isinstance(event, events.TaskRetried) and event.counts):
                self._report_task(event, scope)
        elif event.severity() >= logging.ERROR and not isinstance(event, events.BrokerAway):
            self._report_other(event)

    def _report_task(self, event: events.OutcomeEvent, scope: "Scope | None") -> None:
        with sentry_sdk.isolation_scope() as own:
            if scope is not None:
                own.update_from_scope(scope)
            _tag(own, event.task_type, event.queue, event.task_id, event.attempt)
            if event.error is None:
                sentry_sdk.capture_message(event.message(), "error")
            else:
                sentry_sdk.capture_exception(event.error)

    def _report_other(self, event: events.Event) -> None:
        with sentry_sdk.isolation_scope() as own:
            own.fingerprint = ["rota", type(event).__name__]
            if isinstance(event, events.TaskEvent):
                _tag(own, event.task_type, event.queue, event.task_id, event.attempt)
            own.set_tag("event", type(event).__name__)
            error, _ = event.cause()
            if error is None:
                sentry_sdk.capture_message(event.message(), "error")
            else:
                own.set_context("event", {"message": event.message()})
                sentry_sdk.capture_exception(error)

    def _keep(self, key: tuple[str, str, int], scope: "Scope") -> None:
        with self._lock:
            self._scopes[key] = scope
            if len(self._scopes) > MOST_SCOPES:  # a run that ended with Revoke has no event
                del self._scopes[next(iter(self._scopes))]

    def _take(self, key: tuple[str, str, int]) -> "Scope | None":
        with self._lock:
            return self._scopes.pop(key, None)


def _tag(scope: "Scope", task_type: str, queue: str, task_id: str, attempt: int) -> None:
    scope.set_tags({"task_type": task_type, "queue": queue, "task_id": task_id, "attempt": str(attempt)})
