"""A courier whose line is always busy at the first call: what a retry is for."""

from pathlib import Path

from examples.shop.files import replaced


class CourierBusy(Exception):
    """Nobody answered; call again."""


def book(order: int, attempt: int, folder: Path) -> Path:
    """Book the courier for an order and return the waybill. The first attempt fails."""
    if attempt == 1:
        raise CourierBusy(f"no answer for order {order}")
    waybill = folder / f"waybill-{order}.txt"
    with replaced(waybill) as unfinished:
        unfinished.write_text(f"order {order}\nbooked at attempt {attempt}\n")
    return waybill
