"""How long it takes to read a cron expression and to find its next time, beside cronsim and croniter.

python -m benchmarks.cron [--keep]

Prints a table of microseconds of CPU time, the best of the rounds. `first` is the first reading of an expression in a
process; `again` is one whose fields have been read before, by this or by another schedule; `next` is the next time of
an expression that is read already, and `previous` the time before. The others keep nothing between two readings.
With --keep the table goes to `results/cron.md`.
"""

import platform
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from rota.schedule import cron
from rota.schedule.spec import parse_spec

RESULT = Path(__file__).parent / "results" / "cron.md"
ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 29, 10, 7, 31, tzinfo=ZONE)
EXPRESSIONS = ("*/15 * * * *", "30 2 * * *", "0 9-17 * * MON-FRI", "5,20 4 L * *", "0 0 29 2 *")
ROUNDS, TIMES = 7, 2_000
COLUMNS = ("Rota, first", "Rota, again", "next", "previous", "Asynq's dialect", "cronsim", "croniter")


def microseconds(act: Callable[[], object], times: int = TIMES) -> float:
    """The CPU time of one act, in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            act()
        best = min(best, (time.process_time() - start) / times)
    return best * 1e6


def row(text: str) -> list[float]:
    trigger = parse_spec(text, timezone=ZONE)

    def first() -> object:
        cron._read.cache_clear()
        return parse_spec(text, timezone=ZONE).next(NOW)

    acts: list[Callable[[], object]] = [
        first,
        lambda: parse_spec(text, timezone=ZONE).next(NOW),
        lambda: trigger.next(NOW),
        lambda: trigger.previous(NOW),
        lambda: parse_spec(text.replace("L", "28"), timezone=ZONE, dialect="asynq").next(NOW),
        lambda: next(CronSim(text, NOW)),
        lambda: croniter(text, NOW).get_next(datetime),
    ]
    return [microseconds(act, TIMES if number < 4 else TIMES // 10) for number, act in enumerate(acts)]


def table() -> str:
    lines = [f"| µs | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for text in EXPRESSIONS:
        cells = " | ".join(f"{value:.1f}" for value in row(text))
        lines.append(f"| `{text}` | {cells} |")
    return "\n".join(lines)


def main() -> None:
    found = table()
    print(found)
    if "--keep" in sys.argv[1:]:
        RESULT.write_text(
            f"# Cron expressions\n\nReading an expression and finding its next time in {ZONE}, by `python -m "
            f"benchmarks.cron --keep` on Python {platform.python_version()}, {platform.machine()}. The columns are "
            f"explained in `benchmarks/cron.py`.\n\n{found}\n"
        )


if __name__ == "__main__":
    main()
