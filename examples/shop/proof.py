"""Looks at what a finished task left behind, from the outside: the demo believes no task that says it is done."""

import re
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path
from typing import Any

from PIL import Image

from examples.shop import backup, database, paths, report


class Unproven(Exception):
    """A task ended well, but what it should have made is missing or wrong."""


def prove(task_type: str, arguments: dict[str, Any]) -> str:
    """Return one line on what the task made. Raises `Unproven`."""
    try:
        return _PROOFS[task_type](**arguments)
    except (OSError, ValueError, LookupError, backup.BadCopy) as error:
        raise Unproven(f"{task_type}: {error}") from error


def _image(source: str, target: str, width: int) -> str:
    with Image.open(source) as original, Image.open(target) as copy:
        copy.load()
        _expect(copy.width == width, f"{target} is {copy.width} px wide instead of {width}")
        skew = abs(copy.height - original.height * width / original.width)
        _expect(skew <= 1, f"{target} is out of proportion")
        return f"{Path(target).name}, {copy.width} x {copy.height} px, {_size(Path(target))}"


def _report(month: str, folder: str) -> str:
    total = sum(int(row["quantity"]) * int(row["unit_cents"]) for row in report.read_month(paths.SALES, month))
    page, sums = (Path(folder) / f"sales-{month}.{suffix}" for suffix in ("html", "csv"))
    _expect(report.euros(total) in page.read_text(encoding="utf-8"), f"{page} does not show {report.euros(total)}")
    cents = re.findall(r",(\d+)$", sums.read_text(encoding="utf-8"), re.MULTILINE)
    _expect(sum(map(int, cents)) == total, f"{sums} adds up to something else")
    return f"{page.name}, {report.euros(total)} in {month}"


def _backup(target: str) -> str:
    noted = Path(f"{target}.sha256").read_text().strip()
    _expect(backup.verify(Path(target), paths.DATABASE) == noted, f"{target} has another checksum than noted")
    return f"{Path(target).name}, {_size(Path(target))}, copy verified, SHA-256 {noted[:12]}…"


def _clean(folder: str, pattern: str, older_than: str) -> str:
    left = sorted(path.name for path in Path(folder).glob(pattern))
    _expect(bool(left) and all(name.startswith("new") for name in left), f"{folder} holds {left}")
    return f"old files removed from {Path(folder).name}/, {len(left)} newer ones kept"


def _receipt(order: int) -> str:
    sold = database.read_order(paths.DATABASE, order)
    path = paths.MAIL_FOLDER / f"receipt.{order}.eml"
    message = message_from_bytes(path.read_bytes(), policy=modern)
    body = message.get_body()
    text = body.get_content() if body else ""
    _expect(sold.email in message["To"], f"{path} went to {message['To']}")
    _expect(report.euros(sold.total_cents) in text, f"{path} shows another amount")
    return f"{path.name} to {sold.email}, {report.euros(sold.total_cents)}"


def _courier(order: int, folder: str) -> str:
    waybill = Path(folder) / f"waybill-{order}.txt"
    _expect("attempt 2" in waybill.read_text(), f"{waybill} was not booked at the second attempt")
    return f"{waybill.name}, booked at the second attempt"


def _heartbeat(due: str) -> str:
    stamp = due.replace("Z", "+00:00")
    lines = dict(line.split(",")[:2] for line in paths.DIARY.read_text().splitlines())
    _expect(stamp in lines, f"{paths.DIARY} has no beat for {stamp}")
    return f"{float(lines[stamp]) * 1000:.0f} ms after its time"


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unproven(otherwise)


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1000:.1f} kB"


_PROOFS: dict[str, Callable[..., str]] = {
    "image:resize": _image,
    "report:build": _report,
    "database:backup": _backup,
    "files:clean": _clean,
    "mail:receipt": _receipt,
    "courier:book": _courier,
    "shop:heartbeat": _heartbeat,
}
