"""One RESP3 connection, pipelined among its callers: requests leave at once, replies come back in order.

A `Link` is made by `rota.broker.dial`, which also logs in. It is an asyncio protocol that parses replies with hiredis.
redis-py is not used because its asyncio client takes five times the CPU for each call, and its bare connection twice
(`python -m benchmarks.link`). A link does not reconnect and does not retry: the broker does both.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from hiredis import ProtocolError, PushNotification, Reader, ReplyError
from hiredis import pack_command as _pack_command  # pyright: ignore[reportUnknownVariableType]

from rota.broker import failure
from rota.broker.busy_poll import BusyPoll
from rota.broker.closed_loops import end_without_loop, remember
from rota.broker.failure import no_resp3
from rota.broker.script_cache import ScriptCache, Words, is_unknown_script
from rota.broker.tcp import discard_unsent
from rota.broker.url import Endpoint
from rota.errors import BrokerError, BrokerUnavailable
from rota.wire.script import Argument, Call

T = TypeVar("T")

# The type stub of hiredis gives this function no result type.
pack = cast(Callable[[Any], bytes], _pack_command)

# `Reader.gets` returns this object when it holds no complete reply. `None` would be ambiguous: it is a null reply.
NOTHING = object()
# The server confirms SUBSCRIBE and UNSUBSCRIBE by a push in place of a reply, so such a push answers a request.
CONFIRMATIONS = frozenset({b"subscribe", b"unsubscribe", b"psubscribe", b"punsubscribe"})


class Link(asyncio.Protocol):
    """A connection that is ready for commands. Once `closed`, it stays closed: ask the broker for another.

    When the connection breaks, requests without a reply fail with `BrokerUnavailable(maybe_applied=True)`. A link does
    not retry, and closes itself when its server becomes a replica. `on_push` gets every push except the confirmations
    of subscriptions; `on_close` is called once.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        response_timeout_seconds: float,
        *,
        clustered: bool = False,
        test_clock: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.on_push: Callable[[list[Any]], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self.closed = False
        self._failed = False
        self._loop = asyncio.get_running_loop()
        self._timeout_seconds = response_timeout_seconds
        self._reader = Reader(notEnoughData=NOTHING)
        self._sources = ScriptCache(guarded=clustered, test_clock=test_clock)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._busy_poll = BusyPoll(self._loop, self._waiting)
        # Seconds allowed for requests that block by design (WAIT), in place of the response time-out.
        self._own_timeouts: dict[asyncio.Future[Any], float] = {}
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None]
        self._room: asyncio.Future[None] | None = None
        self._end: asyncio.Future[None] = self._loop.create_future()
        self.reason: object = None

    @property
    def pending(self) -> int:
        """Number of requests without a reply."""
        return len(self._waiting)

    async def run(self, call: Call[T], *, asking: bool = False) -> T:
        """Run one script."""
        if self._room is not None:
            await self._wait_for_room()
        words = self._sources.words(call)
        reply = await (self._ask(words) if asking else self.send(words))
        if reply.__class__ is ReplyError:
            return await self.run_refused(call, reply, asking=asking)
        try:
            return call.decode(reply)
        except Exception as error:
            raise self.senseless(call) from error

    def start(self, call: Call[Any]) -> "asyncio.Future[Any] | None":
        """Send one script now, and return the future of its raw reply; None if `run` would wait before it sends.

        With this the hot path of an enqueue is spared a coroutine. An error reply goes to `run_refused`.
        """
        return None if self._room is not None else self.send(self._sources.words(call))

    async def run_refused(self, call: Call[T], reply: ReplyError, *, asking: bool = False) -> T:
        """Send a script again that the server does not know. Raises any other refusal."""
        if not is_unknown_script(reply):
            raise self._refusal(reply, call.command())
        [words] = self._sources.again([call])
        second = await (self._ask(words) if asking else self.send(words))
        if isinstance(second, ReplyError):
            raise self._refusal(second, words)
        try:
            return call.decode(second)
        except Exception as error:
            raise self.senseless(call) from error

    async def execute(self, *words: Argument, asking: bool = False, timeout_seconds: float | None = None) -> Any:
        """Run one plain command and return its raw reply.

        `timeout_seconds` replaces the response time-out for a command that blocks by design.
        """
        if self._room is not None:
            await self._wait_for_room()
        reply = await (self._ask(words) if asking else self.send(words, timeout_seconds))
        if reply.__class__ is ReplyError:
            raise self._refusal(reply, words)
        return reply

    async def run_many(self, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
        """Run scripts in one burst. Returns results in order, with errors as values."""
        # A burst is one write of any size: the caller limits the number of calls.
        if self._room is not None:
            await self._wait_for_room()
        replies = await self._replies([self._sources.words(call) for call in calls])
        unknown = [i for i, reply in enumerate(replies) if is_unknown_script(reply)]
        if unknown:
            again = self._sources.again(calls[i] for i in unknown)
            for i, reply in zip(unknown, await self._replies(again), strict=True):
                replies[i] = reply
        return list(map(self._outcome, calls, replies))

    def _outcome(self, call: Call[T], reply: Any) -> T | BrokerError:
        if isinstance(reply, BrokerError):
            return reply
        if isinstance(reply, ReplyError):
            return self._refusal(reply, call.command())
        try:
            return call.decode(reply)
        except Exception as error:
            lost = self.senseless(call)
            lost.__cause__ = error
            return lost

    def senseless(self, call: Call[Any]) -> BrokerUnavailable:
        """Close the connection after a reply that cannot be read, and make the error to raise."""
        # The reply may belong to another request: after one reply too many or too few, every later reply would reach
        # the wrong caller. So the connection is closed.
        self.close(f"the reply to {call.script.name} makes no sense")
        return failure.lost(self.endpoint, self.reason)

    def _refusal(self, reply: ReplyError, words: Words) -> BrokerError:
        error = failure.of_reply(reply, words, self.endpoint)
        if isinstance(error, failure.Demoted):
            # A new connection finds the new master through the sentinels or through DNS.
            self.retire("it became a replica")
        return error

    async def _replies(self, commands: Sequence[Words]) -> list[Any]:
        try:
            futures = self.burst(commands)
        except BrokerUnavailable as error:
            return [error] * len(commands)
        replies: list[Any] = []
        for future in futures:
            try:
                replies.append(await future)
            except BrokerUnavailable as error:
                replies.append(error)
        return replies

    def send(self, words: Words, timeout_seconds: float | None = None) -> "asyncio.Future[Any]":
        """Send one command now. The future gets the raw reply, which may be an error reply."""
        if self.closed:
            raise failure.not_sent(self.endpoint, self.reason)
        future = self._loop.create_future()
        packed = pack(words)
        if not self._waiting:
            self._heard = self._loop.time()
            if self._watch is None:
                self._listen()
            if timeout_seconds is None:
                self._busy_poll.begin()
        self._waiting.append(future)
        if timeout_seconds is not None:
            self._own_timeouts[future] = timeout_seconds
        self._write(packed)
        return future

    def _ask(self, words: Words) -> "asyncio.Future[Any]":
        # `ASKING` applies to the next command of the connection only, so both go in one write.
        return self.burst([("ASKING",), words])[1]

    def burst(self, commands: Iterable[Words]) -> "list[asyncio.Future[Any]]":
        """Send several commands in one write, so that no command of another caller comes between them."""
        if self.closed:
            raise failure.not_sent(self.endpoint, self.reason)
        packed = [pack(words) for words in commands]
        futures = [self._loop.create_future() for _ in packed]
        if not self._waiting:
            self._heard = self._loop.time()
            if self._watch is None:
                self._listen()
        self._waiting.extend(futures)
        self._write(b"".join(packed))
        return futures

    def retire(self, reason: object) -> None:
        """Refuse further requests, and close after the last reply to those already sent."""
        if not self.closed:
            self.closed = True
            self.reason = reason
            if not self._waiting:
                self.close(reason)

    def close(self, reason: object = "closed here") -> None:
        """Close without waiting. Requests without a reply fail as lost; bytes that are not sent yet are discarded."""
        if self._waiting and self._transport is not None:
            discard_unsent(self._transport.get_extra_info("socket"))
        self._fail(reason)
        if self._transport is not None:
            self._transport.abort()

    async def aclose(self) -> None:
        """Close the link, and wait until its socket is closed."""
        self.close()
        if self._transport is not None:
            await asyncio.shield(self._end)

    async def finish(self, within_seconds: float) -> None:
        """Close the link after the replies to the requests already sent, or when this time is over."""
        self.retire("closed here")
        try:
            async with asyncio.timeout(within_seconds):
                await asyncio.shield(self._end)
        except TimeoutError:
            return  # closed below
        finally:
            await self.aclose()

    # Callbacks of asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write
        remember(self._loop, self)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        reader, waiting = self._reader, self._waiting
        self._heard = self._loop.time()
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not NOTHING:
                if reply.__class__ is PushNotification and reply[0] not in CONFIRMATIONS:
                    if self.on_push is not None:
                        self.on_push(reply)
                    continue
                future = waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except (ProtocolError, IndexError) as error:
            self.close(no_resp3(error))
        if not waiting:
            self._own_timeouts.clear()
            if self.closed:
                self.close(self.reason)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._fail(exc or "closed by the server")
        if not self._end.done():
            self._end.set_result(None)

    def pause_writing(self) -> None:  # noqa: D102
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:  # noqa: D102
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _listen(self) -> None:
        """Start the response time-out, when the first request is sent on an idle connection."""
        self._watch = self._loop.call_later(self._timeout_seconds, self._check_silence)

    def _check_silence(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        limit = self._own_timeouts.get(self._waiting[0], self._timeout_seconds)
        left = self._heard + limit - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._check_silence)
        else:
            # A half-open connection cannot be told from a slow server, and only closing it helps. A blocked event loop
            # does not cause this: asyncio and uvloop read sockets before they run timers, so replies that arrived
            # meanwhile have reset `_heard`.
            self.close(f"no answer for {limit:g} s")

    def abandon(self) -> None:
        """Close the socket of a link whose event loop is closed."""
        self.closed = self._failed = True
        self.on_close = None
        if self._transport is not None and not self._end.done():
            end_without_loop(self._transport)

    async def _wait_for_room(self) -> None:
        while self._room is not None:
            await asyncio.shield(self._room)

    def _fail(self, reason: object) -> None:
        if self._failed:
            return
        self.closed = self._failed = True
        self.reason = reason
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.resume_writing()
        waiting = list(self._waiting)
        self._waiting.clear()
        self._own_timeouts.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(failure.lost(self.endpoint, reason))
        if self.on_close is not None:
            self.on_close()
