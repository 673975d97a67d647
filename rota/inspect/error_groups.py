"""Groups failed tasks by their error: how many tasks hold it, since when, how often in the last 24 hours.

Two tasks are in one group if they have the same task type, the same class of exception, and the same place in the code.
The class and the place come from the traceback that Rota's workers store. A task that failed in a Go server has no
traceback, so the text of its error stands for the place, without numbers, IDs and addresses.

The groups count tasks and not failures: each task counts once, with its last error and the time of its last failure.
Tasks that have succeeded or were deleted meanwhile do not count.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from rota.client.steps import Act
from rota.inspect.candidate import Hit
from rota.inspect.face import Stream
from rota.inspect.query import Field, Pattern, Query, StateTerm, TextTerm
from rota.inspect.search_position import SearchPage
from rota.inspect.task_search import Search
from rota.tasks.job import TaskState
from rota.wire.keys import Keys

MOST_GROUPS = 1000
HOURS = 24
PAGES_AT_ONCE = 20
"""Pages of the search for each batch, because a batch sorts all groups."""
MOST_TEXT = 300
FAILED = (TaskState.RETRY, TaskState.ARCHIVED)
_HAS_ERROR = TextTerm(Field.ERROR, (Pattern(("", "")),))


class Failure(NamedTuple):
    """The parts by which two errors are the same. `place` is `file:function`. A part is empty if it is not known."""

    type: str
    exception: str
    place: str
    text: str

    @property
    def fingerprint(self) -> str:
        """A short name of the group, the same in every process and on every day."""
        told = (self.type, self.exception, self.place, "" if self.place else self.text)
        return sha256("\0".join(told).encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """The tasks with one error. `trend` counts them by the hour of their last failure, for 24 hours, the latest last.

    `text` is the error without numbers, IDs and addresses. `sample` is the task that failed last. `line` is the place
    with its line in the traceback of the sample, as `file:line in function`.
    """

    fingerprint: str
    type: str
    exception: str
    place: str
    line: str
    text: str
    tasks: int
    queues: Mapping[str, int]
    states: Mapping[str, int]
    first_at: datetime | None
    last_at: datetime | None
    trend: tuple[int, ...]
    sample: Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """All groups so far, the one with the most tasks first, and how far the search has come (see `SearchPage`).

    `ungrouped` counts tasks that are in no group, because there were `MOST_GROUPS` groups already.
    """

    groups: tuple[ErrorGroup, ...]
    tasks: int
    ungrouped: int
    scanned: int
    total: int
    unread: tuple[str, ...] = ()


class ErrorSearch(Stream[ErrorPage]):
    """Groups the failed tasks that match a query, in states `retry` and `archived` unless the query names states.

    With `within`, only tasks count whose last failure is not longer ago.
    """

    def __init__(self, keys: Keys, query: Query, *, within: timedelta | None = None) -> None:
        self._search = Search(keys, failed_only(query), with_tracebacks=True)
        self._within = within
        self._groups: dict[str, _Collected] = {}
        self._tasks = 0
        self._ungrouped = 0

    def next_batch(self) -> Act[ErrorPage | None]:
        """Read some more tasks, and return all groups so far."""
        last: SearchPage | None = None
        for _ in range(PAGES_AT_ONCE):
            page = yield from self._search.next_batch()
            if page is None:
                break
            last = page
            self._add(page)
        if last is None:
            return None
        now = datetime.now(UTC)
        groups = sorted(self._groups.values(), key=lambda each: (-each.tasks, each.failure))
        return ErrorPage(
            groups=tuple(each.group(now) for each in groups),
            tasks=self._tasks,
            ungrouped=self._ungrouped,
            scanned=last.scanned,
            total=last.total,
            unread=last.unread,
        )

    def _add(self, page: SearchPage) -> None:
        now = datetime.now(UTC)
        for hit in page.hits:
            if self._within is not None and (hit.failed_at is None or now - hit.failed_at > self._within):
                continue
            self._tasks += 1
            failure = failure_of(hit)
            name = failure.fingerprint
            if name not in self._groups:
                if len(self._groups) >= MOST_GROUPS:
                    self._ungrouped += 1
                    continue
                self._groups[name] = _Collected(failure, hit)
            self._groups[name].add(hit, failure)


@dataclass(slots=True)
class _Collected:
    """A group under construction. `hours` counts tasks by the Unix hour of their last failure."""

    failure: Failure
    sample: Hit
    tasks: int = 0
    queues: Counter[str] = field(default_factory=Counter[str])
    states: Counter[str] = field(default_factory=Counter[str])
    first_at: datetime | None = None
    times: Counter[int] = field(default_factory=Counter[int])

    def add(self, hit: Hit, failure: Failure) -> None:
        self.tasks += 1
        self.queues[hit.ref.queue] += 1
        self.states[hit.state] += 1
        if hit.failed_at is None:
            return
        if self.first_at is None or hit.failed_at < self.first_at:
            self.first_at = hit.failed_at
        if self.sample.failed_at is None or hit.failed_at > self.sample.failed_at:
            self.sample, self.failure = hit, failure
        minute = int(hit.failed_at.timestamp()) // 60
        self.times[minute] += 1
        if len(self.times) > 2 * HOURS * 60:
            oldest = max(self.times) - HOURS * 60
            self.times = Counter({each: count for each, count in self.times.items() if each >= oldest})

    def group(self, now: datetime) -> ErrorGroup:
        return ErrorGroup(
            fingerprint=self.failure.fingerprint,
            **self.failure._asdict(),
            line=_frame(self.sample.traceback).line,
            tasks=self.tasks,
            queues=dict(self.queues.most_common()),
            states=dict(self.states.most_common()),
            first_at=self.first_at,
            last_at=self.sample.failed_at,
            trend=self._trend(now),
            sample=self.sample,
        )

    def _trend(self, now: datetime) -> tuple[int, ...]:
        trend = [0] * HOURS
        this_minute = int(now.timestamp()) // 60
        for minute, count in self.times.items():
            hours_ago = max(0, this_minute - minute) // 60
            if hours_ago < HOURS:
                trend[HOURS - 1 - hours_ago] += count
        return tuple(trend)


def failed_only(query: Query) -> Query:
    """Return the query for the failed tasks among those that match."""
    terms = (*query.terms, _HAS_ERROR)
    if any(isinstance(term, StateTerm) for term in query.terms):
        return replace(query, terms=terms)
    return replace(query, terms=(*terms, StateTerm(FAILED)))


_CLASS = re.compile(r"((?:[a-z_]\w*\.)*[A-Z]\w*)(?::\s|$)")
_FRAME = re.compile(r'^[\s|+]*File "([^"\n]*)", line (\d+), in (.+)$', re.MULTILINE)
_LIBRARY = re.compile(r"[/\\](?:site-packages|dist-packages|python3\.\d+)[/\\]|^<frozen ")


class _Frame(NamedTuple):
    place: str = ""
    line: str = ""


def failure_of(hit: Hit) -> Failure:
    """Return what makes the error of a task the same as others."""
    first = hit.error.strip().partition("\n")[0]
    named = _CLASS.match(first)
    exception = named[1].rpartition(".")[2] if named else ""
    return Failure(hit.type, exception, _frame(hit.traceback).place, without_details(first))


def _frame(traceback: str) -> _Frame:
    """Return the innermost frame outside of libraries; if there is none, the innermost frame."""
    frames = _FRAME.findall(traceback)
    if not frames:
        return _Frame()
    own = [frame for frame in frames if not _LIBRARY.search(frame[0])]
    file, line, function = (own or frames)[-1]
    # The folder of the program differs between machines, so only the last folder counts.
    short = "/".join(re.split(r"[/\\]", file)[-2:])
    return _Frame(f"{short}:{function}", f"{short}:{line} in {function}")


_DETAILS = (
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<address>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*[0-9])(?=[0-9]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9A-Za-z]*[0-9])[0-9A-HJKMNP-TV-Z]{26}\b"), "<id>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
    (re.compile(r"\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]+\](?::\d+)?"), "<address>"),
    (re.compile(r"\b(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}\b"), "<address>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)


def without_details(text: str) -> str:
    """Return the text of an error without numbers, IDs and addresses, and not longer than is shown."""
    for pattern, name in _DETAILS:
        text = pattern.sub(name, text[: 4 * MOST_TEXT])
    return text[:MOST_TEXT]
