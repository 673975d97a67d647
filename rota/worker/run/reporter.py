"""The reporter: writes the progress and log lines of running tasks, joined and limited in size.

Handlers call `progress` and `log` from any thread, as often as they like; neither call blocks. A report is written at
once if none was written recently, then at most every `every`, and once more before the outcome is recorded. It has the
newest progress and all log lines up to the size limits.

One script writes the reports of a queue. It writes a report only while the task's hash contains the token of the
attempt. So a report does not recreate the hash of a deleted task, nor overwrite that of another attempt.

In the hash, `rota_progress` is a JSON object (done, total, text, at), and `rota_log` is text. Each line of the text is
a time, a blank, and the line of the handler.
"""

import asyncio
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rota.broker import Broker
from rota.broker.route import look_at
from rota.errors import BrokerError
from rota.tasks.context import Context
from rota.wire.keys import QueueKeys
from rota.wire.outcome import MAX_REPORTS, TaskReport, report
from rota.worker.run.attempt import Attempt
from rota.worker.ticker import Ticker

_MAX_TEXT = 1024
_LAST_WORDS_SECONDS = 1.0
_CUT = "…"


@dataclass(frozen=True, slots=True)
class ReporterStatistics:
    """Counts since the start.

    `refused` reports were of attempts that had ended. `dropped_lines` are log lines beyond the size limit.
    """

    written: int = 0
    refused: int = 0
    dropped_lines: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Said:
    """The progress and log lines of one attempt since the last write."""

    attempt: Attempt
    progress: bytes = b""
    lines: deque[bytes] = field(default_factory=deque[bytes])
    size: int = 0

    def add(self, line: bytes, room: int) -> int:
        """Add a line and drop the oldest ones beyond `room`; return how many were dropped."""
        self.lines.append(line)
        self.size += len(line)
        dropped = 0
        while self.size > room and len(self.lines) > 1:
            self.size -= len(self.lines.popleft())
            dropped += 1
        return dropped


class NoReports:
    """A reporter that drops all reports, for an executor without a worker."""

    def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
        """Drop the progress."""

    def log(self, context: Context, text: str) -> None:
        """Drop the line."""

    async def settle(self, context: Context) -> None:
        """Return at once."""


class Reporter:
    """The reporter for all contexts of a worker. Create it in the worker's event loop.

    `running` returns the attempts held now; it is called in the thread of the handler that reports.
    """

    def __init__(
        self,
        broker: Broker,
        running: Callable[[], Iterable[Attempt]],
        every: timedelta = timedelta(milliseconds=500),
        log_limit_bytes: int = 64 * 1024,
        log_line_limit_bytes: int = 4096,
    ) -> None:
        self._broker = broker
        self._running = running
        self._log_limit = log_limit_bytes
        self._line_limit = min(log_line_limit_bytes, log_limit_bytes)
        self._ticker = Ticker("reporter", every)
        self._said: dict[Context, _Said] = {}
        self._sent: dict[Context, _Said] = {}
        self._writing: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._something = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._written = self._refused = self._dropped = 0

    def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
        """Note the newest progress of a task."""
        told = {"done": done, "total": total, "text": text[:_MAX_TEXT], "at": round(time.time(), 3)}
        data = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        with self._lock:
            if (said := self._of(context)) is not None:
                said.progress = data

    def log(self, context: Context, text: str) -> None:
        """Add a text to a task's log. A text with line breaks becomes several lines."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = [self._line(stamp, line) for line in text.splitlines() or [""]]
        with self._lock:
            if (said := self._of(context)) is not None:
                self._dropped += sum(said.add(line, self._log_limit) for line in lines)

    async def run(self) -> None:
        """Write reports until cancelled, and then the remaining ones."""
        try:
            await self._ticker.keep(self._round)
        finally:
            await self._last_words()

    def unwritten(self, context: Context) -> bool:
        """Whether a task has reported something that is not written yet."""
        return context in self._said or context in self._sent

    async def settle(self, context: Context) -> None:
        """Write the last report of a task before its outcome is recorded. Takes `_LAST_WORDS_SECONDS` at most."""
        with suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                if self.unwritten(context):
                    await self.flush()

    async def flush(self) -> None:
        """Write all reports so far. Reports that could not be sent are kept for the next write."""
        # Shielded, because other tasks wait for the same write, and this one may be cancelled.
        if self._sent:  # the current write may have begun before the newest report
            await asyncio.shield(self._write())
        if self._said:
            await asyncio.shield(self._write())

    def _write(self) -> "asyncio.Task[None]":
        """Return the current write, or begin one. Many tasks that end at the same time share a write."""
        if self._writing is None or self._writing.done():
            self._writing = self._loop.create_task(self._write_all())
            self._writing.add_done_callback(look_at)
        return self._writing

    async def _write_all(self) -> None:
        with self._lock:
            self._sent, self._said = self._said, {}
            self._something.clear()
        try:
            await self._send(self._sent)
        finally:
            self._sent = {}

    async def _send(self, said: dict[Context, _Said]) -> None:
        by_queue: defaultdict[QueueKeys, list[_Said]] = defaultdict(list)
        for each in said.values():
            by_queue[each.attempt.queue].append(each)
        chunks = [
            (keys, told[start : start + MAX_REPORTS])
            for keys, told in by_queue.items()
            for start in range(0, len(told), MAX_REPORTS)
        ]
        replies = await self._broker.run_many(
            [report(keys, [_report(each) for each in chunk], max_log_bytes=self._log_limit) for keys, chunk in chunks]
        )
        error: BrokerError | None = None
        for (_, chunk), reply in zip(chunks, replies, strict=True):
            if isinstance(reply, BrokerError):
                error = reply
                self._keep(chunk, reply.maybe_applied)
            else:
                self._written += reply
                self._refused += len(chunk) - reply
        if error is not None:
            raise error

    def statistics(self) -> ReporterStatistics:
        """Return a snapshot."""
        return ReporterStatistics(self._written, self._refused, self._dropped, self._ticker.errors)

    async def _round(self) -> None:
        await self._something.wait()
        await self.flush()

    async def _last_words(self) -> None:
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self.flush()
        except (BrokerError, TimeoutError):
            return  # the worker can end without these reports

    def _of(self, context: Context) -> _Said | None:
        said = self._said.get(context)
        if said is None:
            attempt = next((a for a in list(self._running()) if getattr(a, "context", None) is context), None)
            if attempt is None:
                return None  # the attempt is over, but a thread that it has started still reports
            said = self._said[context] = _Said(attempt)
            if len(self._said) == 1:
                self._wake()
        return said

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._something.set)
        except RuntimeError:
            return  # the loop is closed

    def _keep(self, chunk: list[_Said], maybe_written: bool) -> None:
        """Keep reports that were not written. Drop lines that may have been written, so that none comes twice."""
        with self._lock:
            for old in chunk:
                new = self._said.setdefault(old.attempt.context, _Said(old.attempt))
                new.progress = new.progress or old.progress
                if not maybe_written:
                    lines, new.lines, new.size = [*old.lines, *new.lines], deque(), 0
                    self._dropped += sum(new.add(line, self._log_limit) for line in lines)
        self._something.set()

    def _line(self, stamp: str, text: str) -> bytes:
        data = f"{stamp} {text}".encode("utf-8", "replace")
        if len(data) >= self._line_limit:
            # `ignore` drops the rest of a character that was cut.
            kept = data[: self._line_limit - len(_CUT.encode()) - 1].decode("utf-8", "ignore")
            data = (kept + _CUT).encode()
        return data + b"\n"


def _report(said: _Said) -> TaskReport:
    attempt = said.attempt
    return TaskReport(attempt.id, attempt.token, said.progress, b"".join(said.lines))
