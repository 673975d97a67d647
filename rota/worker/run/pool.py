"""Where functions run that do not run in the event loop."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rota.tasks.context import Context


class FunctionPool(Protocol):
    """Somewhere else to run a function: a thread, or another process."""

    async def call(
        self,
        context: Context,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = {},
        begun: Callable[[], object] = lambda: None,
        check: Callable[[], object] = lambda: None,
    ) -> Any:
        """Run the function there, once it is its turn: `begun` is called then.

        `check` is called right before its first step, from whatever thread; what it raises keeps the function from it.
        Cancelling this stops it there; it returns only when the function has ended.
        """
        ...

    @property
    def full(self) -> bool:
        """Whether a call would have to wait for its turn."""
        ...
