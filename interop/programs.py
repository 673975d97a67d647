"""The Go programs as Python objects: a client, an inspector, a server and Asynqmon on the real Asynq."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from interop.build import binaries
from interop.shapes import GoDump, GoEvent, GoQueue, GoTask

PATIENCE_S = 30.0

Json = dict[str, Any]


_LOOKS_AT_WHAT_MOVES = 5


class GoRefused(Exception):
    """Go answered with an error. `kind` is duplicate, conflict, task_not_found, queue_not_found, … or other."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class Go:
    """Go's client and inspector on one Redis: every call is one run of a Go program."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def enqueue(self, type: str, payload: bytes | None = None, **options: Any) -> GoTask:
        """Enqueue one task; the options are those of `request`. Raises GoRefused."""
        (answer,) = await self.enqueue_all([request(type, payload, **options)])
        if isinstance(answer, GoRefused):
            raise answer
        return answer

    async def enqueue_all(self, requests: Iterable[Json]) -> list[GoTask | GoRefused]:
        """Enqueue tasks one after the other on one client."""
        answers = await self._run("client", (), requests)
        return [GoTask.read(answer["task"]) if "task" in answer else _refused(answer) for answer in answers]

    async def enqueue_many(self, count: int, *, queue: str = "default", type: str = "bulk:task") -> None:
        """Enqueue `count` tasks with the payloads {"n": 0}, {"n": 1}, … from 50 goroutines on one client."""
        await self._run("client", ("-bulk", str(count), "-queue", queue, "-type", type))

    async def inspect(self) -> GoDump:
        """Return everything Go's Inspector sees."""
        (raw,) = await self._run("inspect")
        return GoDump.read(raw)

    async def queue(self, name: str = "default") -> GoQueue:
        """Return one queue as Go's Inspector sees it."""
        (raw,) = await self._run("inspect", ("-queue", name))
        return GoQueue.read(raw["queues"][name])

    async def task(self, task_id: str, queue: str = "default") -> GoTask:
        """Return one task as Go's Inspector sees it. It reads list after list: one that moves is in two, or in none."""
        for _ in range(_LOOKS_AT_WHAT_MOVES):
            seen = await self.queue(queue)
            if sum(task_id in seen.ids(state) for state in seen.tasks) == 1:
                break
        return seen.task(task_id)

    async def act(self, do: str, task_id: str = "", *, queue: str = "default", **more: Any) -> int:
        """Carry out an Inspector action (see cmd/action); return the number of tasks moved. Raises GoRefused."""
        (answer,) = await self._run("action", (), [{"do": do, "id": task_id, "queue": queue, **more}])
        if "error" in answer:
            raise _refused(answer)
        return int(answer["count"])

    @asynccontextmanager
    async def server(self, **config: Any) -> AsyncIterator["GoServer"]:
        """Run a Go server with this configuration (cmd/server/config.go) until the block ends."""
        async with _running("server", ("-redis", self.url, "-config", json.dumps(config))) as process:
            server = GoServer(process)
            await server.wait(event="ready")
            try:
                yield server
            finally:
                await server.stop()

    @asynccontextmanager
    async def scheduler(self, spec: str = "@every 1s") -> AsyncIterator[str]:
        """Run Asynq's scheduler with one entry until the block ends, and give the ID of the entry."""
        async with _running("scheduler", ("-redis", self.url, "-spec", spec)) as process:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                ready = json.loads(await process.stdout.readline())
            yield str(ready["id"])

    async def enqueue_events(self, entry_id: str) -> list[str]:
        """Return the IDs of the tasks that an entry enqueued, the latest first, as Go's Inspector lists them."""
        return [event["task"] for event in await self._run("scheduler", ("-history", entry_id))]

    @asynccontextmanager
    async def asynqmon(self) -> AsyncIterator[str]:
        """Serve Asynqmon on a free port until the block ends, and give its address."""
        async with _running("mon", ("-redis", self.url)) as process:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                ready = json.loads(await process.stdout.readline())
            yield f"http://127.0.0.1:{ready['port']}"

    async def _run(self, program: str, args: Sequence[str] = (), lines: Iterable[Json] = ()) -> list[Json]:
        stdin = "".join(json.dumps(line) + "\n" for line in lines).encode()
        async with _running(program, ("-redis", self.url, *args), stderr=asyncio.subprocess.PIPE) as process:
            out, err = await process.communicate(stdin)
        said = err.decode(errors="backslashreplace")  # Go quotes the bytes of a message that it cannot read
        assert process.returncode == 0, f"{program} failed: {said}"
        return [json.loads(line) for line in out.splitlines()]


class GoServer:
    """A running Go server and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.events: list[GoEvent] = []
        self._process = process
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def wait(self, count: int = 1, timeout_s: float = PATIENCE_S, **fields: object) -> list[GoEvent]:
        """Wait for `count` events with these field values; return all of them."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: len(self.all(**fields)) >= count or self._reader.done())
        found = self.all(**fields)
        assert len(found) >= count, f"the Go server ended before {count} x {fields}; it said: {self.events}"
        return found

    async def wait_one(self, timeout_s: float = PATIENCE_S, **fields: object) -> GoEvent:
        """Wait for the first event with these field values."""
        return (await self.wait(1, timeout_s, **fields))[0]

    def all(self, **fields: object) -> list[GoEvent]:
        """Return the events so far that have these field values."""
        return [event for event in self.events if event.says(fields)]

    async def stop(self) -> None:
        """Send TERM and wait for the end, as an operator would."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            await self._process.wait()
            await self._reader

    def release(self) -> None:
        """Let all tasks go on that hold (cmd/server/config.go)."""
        self._process.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Send KILL: the server leaves everything as it is."""
        self._process.kill()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                async with self._news:
                    self.events.append(GoEvent.read(json.loads(line)))
                    self._news.notify_all()
        finally:
            async with self._news:
                self._news.notify_all()


def request(
    type: str,
    payload: bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    queue: str | None = None,
    max_retry: int | None = None,
    timeout: timedelta | None = None,
    deadline: float | None = None,
    process_at: float | None = None,
    process_in: timedelta | None = None,
    unique: timedelta | None = None,
    task_id: str | None = None,
    retention: timedelta | None = None,
    group: str | None = None,
) -> Json:
    """Write one task for the Go client. What is None is an option that is not given; times are Unix seconds."""
    wanted = {
        "type": type,
        "payload": None if payload is None else base64.b64encode(payload).decode(),
        "headers": None if headers is None else dict(headers),
        "queue": queue,
        "max_retry": max_retry,
        "timeout_ms": _ms(timeout),
        "deadline": deadline,
        "process_at": process_at,
        "process_in_ms": _ms(process_in),
        "unique_ms": _ms(unique),
        "id": task_id,
        "retention_ms": _ms(retention),
        "group": group,
    }
    return {name: value for name, value in wanted.items() if value is not None}


@asynccontextmanager
async def _running(program: str, args: Sequence[str], **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    path = binaries() / program
    process = await asyncio.create_subprocess_exec(path, *args, stdin=pipe, stdout=pipe, limit=1 << 24, **more)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _ms(duration: timedelta | None) -> int | None:
    return None if duration is None else round(duration / timedelta(milliseconds=1))


def _refused(answer: Json) -> GoRefused:
    return GoRefused(answer["error"], answer["kind"])
