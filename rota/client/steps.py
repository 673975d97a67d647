"""The steps that operations of a client consist of: requests to the server, waits, and connections.

An operation is a generator that yields steps. `requests` carries them out.
"""

import itertools
import time
from asyncio import Runner
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from rota import events
from rota.broker.failure import pause_seconds
from rota.errors import BrokerError, BrokerUnavailable
from rota.wire.edit import Edited
from rota.wire.script import Argument, Call

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Command:
    """One plain command that is safe to repeat. `key` selects the server of a Cluster."""

    words: tuple[Argument, ...]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A script that changes a task.

    If the answer was lost and the script is sent again, it may be refused because the first sending took effect.
    `is_met` decides from the refusal whether the task is as the caller wanted it.
    """

    call: Call[Edited]
    is_met: Callable[[Edited], bool] = lambda refusal: False


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Run a script that enqueues, and wait for `wait_replicas`. Raises `Unreplicated` if too few replicas answer."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Burst:
    """Send several requests together. The answer is a list of answers and errors in the same order.

    With `enqueues` the answers also wait for `wait_replicas`. With `again` the requests whose answers were lost are
    sent again, as a single request is, so each of them has to be safe to repeat.
    """

    requests: "Sequence[Request]"
    enqueues: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """Connect to the servers of these keys, so that the next request is sent at once. The answer: errors by key."""

    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Everywhere:
    """One plain command for every master, which only reads. The answer: the raw replies by server."""

    words: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait up to `seconds` for an announcement. The answer is its bytes, or None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Outside:
    """Something that does not concern the server, such as a write to the store. The answer is what it returns.

    The client for blocking code runs it in the event loop of `runner`, without one in a new loop.
    """

    act: Callable[[], Coroutine[Any, Any, Any]]
    runner: Runner | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """Carry out an act while something outside goes on. The answer: what both of them return.

    If one of them fails, the error is raised after the other one has ended or was cancelled. In blocking code the
    act goes on in a thread.
    """

    outside: Outside
    act: "Act[Any]"


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before a request is sent again."""

    seconds: float


Request: TypeAlias = Call[Any] | Command | Change
Step: TypeAlias = Request | Enqueue | Burst | Reach | Everywhere | Listen | Pause | Outside | Beside
Act: TypeAlias = Generator[Step, Any, R]


def is_lost(outcome: object) -> bool:
    """Whether this is the error of a request that may have been carried out although no answer came."""
    return isinstance(outcome, BrokerUnavailable) and outcome.maybe_applied


def together(requests: "Sequence[Request]") -> Act[list[Any]]:
    """Send several requests in one burst, again if answers are lost, and return all answers. Raises the first error."""
    outcomes: list[Any] = yield Burst(requests, again=True)
    for outcome in outcomes:
        if isinstance(outcome, BrokerError):
            raise outcome
    return outcomes


def merged(*acts: Act[Any]) -> Act[list[Any]]:
    """Carry out several acts whose steps raise no errors, and send their bursts together. Returns their results."""
    results: list[Any] = [None] * len(acts)
    waiting: dict[int, Step] = {}

    def go_on(number: int, answer: Any) -> None:
        try:
            waiting[number] = acts[number].send(answer)
        except StopIteration as end:
            results[number] = end.value
            waiting.pop(number, None)

    for number in range(len(acts)):
        go_on(number, None)
    while waiting:
        bursts = {
            n: step for n, step in waiting.items() if isinstance(step, Burst) and not (step.enqueues or step.again)
        }
        if len(bursts) < 2:
            number, step = next(iter(waiting.items()))
            go_on(number, (yield step))
            continue
        answers: list[Any] = yield Burst([request for step in bursts.values() for request in step.requests])
        left = iter(answers)
        for number, step in bursts.items():
            go_on(number, list(itertools.islice(left, len(step.requests))))
    return results


def after_a_loss(
    edited: Edited, is_met: Callable[[Edited], bool], lost: BrokerUnavailable
) -> Edited | BrokerUnavailable:
    """Return the outcome of a change that was sent again. Even if it was refused now, it may have been carried out."""
    if edited.reply not in ("gone", "state", "locked", "alive", "changed"):
        return edited
    if is_met(edited):
        return edited._replace(reply="done")
    now = edited.state or "gone"
    return BrokerUnavailable(f"{lost} Sent again, it was refused, because the task is {now}.", maybe_applied=True)


def asked_again(burst: Burst, outcomes: list[Any], seconds: float) -> Act[list[Any]]:
    """Send the requests of a burst whose answers were lost again: at least once, and for at most `seconds`."""
    deadline = time.monotonic() + seconds
    for failures in itertools.count(1):
        lost = [i for i, outcome in enumerate(outcomes) if is_lost(outcome)]
        if not lost:
            break
        _log(lost, outcomes)
        again: list[Any] = yield Burst([burst.requests[i] for i in lost], burst.enqueues)
        ended = True
        for i, outcome in zip(lost, again, strict=True):
            ended = ended and not is_lost(outcome)
            outcomes[i] = _after_a_loss(burst.requests[i], outcome, outcomes[i])
        pause = pause_seconds(failures)
        if ended or time.monotonic() + pause > deadline:
            break
        yield Pause(pause)
    return outcomes


def _after_a_loss(request: Request, outcome: Any, lost: BrokerUnavailable) -> Any:
    """Return the outcome of a request that was sent again. Even if it was refused now, it may have been carried out."""
    if isinstance(outcome, BrokerUnavailable) and not outcome.maybe_applied:
        return lost
    if isinstance(outcome, BrokerError):
        outcome.maybe_applied = True
    elif isinstance(request, Change) and outcome.reply != "changed":  # a caller reads a changed message again
        return after_a_loss(outcome, request.is_met, lost)
    return outcome


def _log(lost: Sequence[int], outcomes: Sequence[Any]) -> None:
    events.emit(events.RequestsRepeated(requests=len(lost), error=outcomes[lost[0]]))
