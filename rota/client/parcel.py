"""A task that the client has accepted and the server may not have yet."""

import asyncio
import time
from typing import Any

from rota.client.packing import STATES, Packed, Packer
from rota.duration import DurationLike, parse
from rota.enqueued import Plan, Receipt
from rota.errors import ResultTimeout, RotaError
from rota.wire.enqueue import Item, Reply
from rota.wire.keys import QueueKeys
from rota.wire.script import Call


class Parcel:
    """One plan, packed: its ID and its bytes are fixed, so however often it is sent, it is one task.

    `left` ends when its caller need not wait any longer, `arrival` when the server has answered for it.
    """

    def __init__(self, plan: Plan[Any], packer: Packer, loop: asyncio.AbstractEventLoop) -> None:
        self.plan = plan
        self.accepted_at = time.monotonic()
        self.packed: Packed | None = None
        self.call: Call[Reply] | None = None
        if plan.options.debounce is None:
            self.packed = packer.pack(plan)
            self.keys: QueueKeys = self.packed.keys
            self.id = self.packed.id
        else:
            self.keys, self.call = packer.debounced(plan, plan.options.debounce)
            self.id = str(self.call.args[1])
        self.outcome: Reply | RotaError | None = None
        self.left: asyncio.Future[None] = loop.create_future()
        self.arrival: asyncio.Future[None] = loop.create_future()
        self._receipt: Receipt | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether its caller went away in the belief that it will be sent."""
        return self.left.done() and self.outcome is None

    def item(self) -> Item:
        """Return what the script takes. A delay counts from the moment of acceptance."""
        assert self.packed is not None  # noqa: S101
        item = self.packed.item or Item(self.packed.id, self.packed.message)
        if not item.when.startswith("+"):
            return item
        return item._replace(when=f"+{max(0.0, float(item.when) - (time.monotonic() - self.accepted_at)):.6f}")

    def release(self) -> None:
        """Let the caller go: it is buffered."""
        if not self.left.done():
            self.left.set_result(None)

    def settle(self, outcome: Reply | RotaError) -> None:
        """Note what the server said of it."""
        self.outcome = outcome
        if isinstance(outcome, Reply):
            self.id = outcome.id
        self._correct()
        self.release()
        if not self.arrival.done():
            self.arrival.set_result(None)

    def hand_out(self, receipt: Receipt) -> None:
        """Correct this receipt when the server has answered."""
        self._receipt = receipt
        self._correct()  # with threads, that may have been just now

    def _correct(self) -> None:
        receipt, outcome = self._receipt, self.outcome
        if receipt is not None and isinstance(outcome, Reply):
            receipt.id, receipt.state, receipt.created = outcome.id, STATES[outcome.state], outcome.reason == "created"

    async def sent(self, timeout: DurationLike | None) -> float | None:  # noqa: ASYNC109
        """Wait until the server has answered for it. Returns the seconds left of `timeout`; raises what it said."""
        seconds = None if timeout is None else parse(timeout, "timeout").total_seconds()
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self.arrival)
        except TimeoutError:
            raise ResultTimeout(
                f"Task {self.id} in queue {self.keys.queue!r} was not even sent within {seconds:g} s: the broker is "
                "away, and the task waits in this program's buffer. Wait again, or look at the broker."
            ) from None
        if isinstance(self.outcome, RotaError):
            raise self.outcome
        return None if seconds is None else max(0.0, seconds - (time.monotonic() - started))
