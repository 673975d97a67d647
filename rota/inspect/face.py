"""The frame of the read model and the actions: each is described once, and carried out in two ways.

A description is a generator that yields steps (`rota.client.steps`), as the operations of a client are. `Inspector` and
`Actions` carry it out for asyncio, and `SyncInspector` and `SyncActions` for blocking code. To add one:

1. Write its script, `look_<what>.lua` for a read and `edit_<act>.lua` for an action, and its call in `rota.wire`.
2. Describe it below `@operation` in one of the classes that the face is made of, such as `QueueReads`. Both faces have
   it then. Name a class that users get from it in the three lists of `rota/inspect/__init__.py`.
3. A read of many requests, such as a search, is a `Stream`: below `@streamed` the face for asyncio yields its batches
   by `async for`, and the face for blocking code by `for`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

from rota.broker.url import Mode
from rota.client.requests import Requests, SyncRequests
from rota.client.steps import Act
from rota.core.sync_bridge import finish
from rota.tasks.job import AsyncFace, SyncFace
from rota.wire.keys import Keys

if TYPE_CHECKING:
    from rota.broker.broker import Broker
    from rota.broker.sync import SyncBroker

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class TaskRef(NamedTuple):
    """Names one task: an ID counts only in its own queue."""

    queue: str
    id: str


class Stream(ABC, Generic[T]):
    """Something that is read or done in batches. The stream knows how far it has come."""

    @abstractmethod
    def next_batch(self) -> Act[T | None]:
        """Get the next batch; None after the last one."""

    def end(self) -> Act[None]:
        """Close what the stream has opened. It is called after the last batch, and if the loop is left before."""
        return
        yield  # makes this a generator


class Streamed(Protocol[P, T_co]):
    """The type of a method that gives a stream to both faces: type checkers see an iterator for each."""

    @overload
    def __get__(self, face: AsyncFace, owner: type) -> Callable[P, AsyncGenerator[T_co]]: ...
    @overload
    def __get__(self, face: SyncFace, owner: type) -> Callable[P, Generator[T_co]]: ...


def streamed(description: Callable[Concatenate[Any, P], Stream[T_co]]) -> Streamed[P, T_co]:
    """Make a method of both faces that yields the batches of a stream. Leave the loop to stop."""

    @wraps(description)
    def method(face: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        return face.batches(description(face, *args, **kwargs))

    return cast("Streamed[P, T_co]", method)


class Reads(ABC):
    """The base of the classes that describe reads."""

    def __init__(self, keys: Keys, mode: Mode) -> None:
        self._keys = keys
        self._mode: Mode = mode

    @abstractmethod
    def carry_out(self, act: Act[Any]) -> Any:
        """Run each step of a description. The face for asyncio returns an awaitable, the other one the result."""


class Awaited(AsyncFace):
    """Carries out descriptions for asyncio."""

    _requests: Requests

    def _send_with(self, broker: "Broker") -> None:
        self._requests = Requests(broker)

    def carry_out(self, act: Act[R]) -> Coroutine[Any, Any, R]:
        """Run each step of a description until its end, and return its result."""
        return self._requests.carry_out(act)

    async def batches(self, stream: Stream[T]) -> AsyncGenerator[T]:
        """Yield the batches of a stream."""
        try:
            while (batch := await self._requests.carry_out(stream.next_batch())) is not None:
                yield batch
        finally:
            await self._requests.carry_out(stream.end())


class Blocking(SyncFace):
    """Carries out descriptions for blocking code."""

    _requests: SyncRequests

    def _send_with(self, broker: "SyncBroker") -> None:
        self._requests = SyncRequests(broker)

    def carry_out(self, act: Act[R]) -> R:
        """Run each step of a description until its end, and return its result."""
        return finish(self._requests.carry_out(act))

    def batches(self, stream: Stream[T]) -> Generator[T]:
        """Yield the batches of a stream."""
        try:
            while (batch := finish(self._requests.carry_out(stream.next_batch()))) is not None:
                yield batch
        finally:
            finish(self._requests.carry_out(stream.end()))
