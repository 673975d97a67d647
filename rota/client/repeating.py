"""Sending a request again whose reply was lost. Each is safe to repeat."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rota.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")

RESENDS = 2


async def repeated(ask: Callable[[], Awaitable[T]], lost: BrokerUnavailable | None = None) -> T:
    """Ask, and again where the reply was lost. `lost` says that it was lost once already."""
    for _ in range(RESENDS + (lost is None)):
        try:
            return await ask()
        except BrokerError as error:
            lost = _lost(error, lost)
    assert lost is not None  # noqa: S101
    raise lost


def repeated_sync(ask: Callable[[], T], lost: BrokerUnavailable | None = None) -> T:
    """Do the same from blocking code."""
    for _ in range(RESENDS + (lost is None)):
        try:
            return ask()
        except BrokerError as error:
            lost = _lost(error, lost)
    assert lost is not None  # noqa: S101
    raise lost


def _lost(error: BrokerError, lost: BrokerUnavailable | None) -> BrokerUnavailable:
    if isinstance(error, BrokerUnavailable) and error.maybe_applied:
        return error
    if lost is None or not isinstance(error, BrokerUnavailable):
        raise error
    # This sending did not arrive, but an earlier one may have.
    raise lost from error
