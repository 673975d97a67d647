"""The interface of the pools that run functions outside the event loop."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rota.tasks.context import Context


class FunctionPool(Protocol):
    """Runs functions in threads, or in other processes."""

    async def call(
        self,
        context: Context,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = {},
        begun: Callable[[], object] = lambda: None,
        check: Callable[[], object] = lambda: None,
    ) -> Any:
        """Run the function when a thread or process is free.

        `begun` is called when the wait for a thread or process is over. `check` is called right before the function, in
        any thread; if it raises, the function does not run. Cancelling this call stops the function. The call returns
        only when the function has ended.
        """
        ...

    @property
    def full(self) -> bool:
        """Whether a call would have to wait for its turn."""
        ...
