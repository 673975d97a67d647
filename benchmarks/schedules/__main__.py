"""The command line of the benchmark of schedules."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.install import install_peers
from benchmarks.schedules.own import FOREIGN_KEYS, Lateness, burst, lateness, resting, takeovers
from benchmarks.schedules.page import Page
from benchmarks.schedules.peers import PEERS, measured

RESULT = Path(__file__).parents[1] / "results" / "schedules.md"
BURSTS = (1000, 10_000)
IDLE = 10_000
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement that lasts")
    parser.add_argument("--only", help=f"schedulers, with commas: {','.join(PEERS)}; none leaves the comparison out")
    parser.add_argument("--own", default="late,store,foreign,burst,idle,takeover", help="what to measure of Rota alone")
    parser.add_argument("--keep", action="store_true", help=f"write results/{RESULT.name}")
    words = parser.parse_args()
    page = Page("python -m benchmarks.schedules " + " ".join(sys.argv[1:]))
    seconds, own = words.seconds, words.own.split(",")
    if "late" in own:
        for how, label in (("spread", "spread over the second"), ("each", "all in the same millisecond")):
            page.lateness.append(_told("lateness", partial(lateness, seconds, how, label)))
    if "store" in own:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/rota.db"
            act = partial(lateness, seconds, "spread", "spread, each run recorded in SQLite", store=url)
            page.lateness.append(_told("lateness", act))
    if "foreign" in own:
        label = f"spread, beside {FOREIGN_KEYS:,} foreign keys and {IDLE:,} idle schedules"
        act = partial(lateness, seconds, "spread", label, foreign_keys=FOREIGN_KEYS, idle=IDLE)
        page.lateness.append(_told("lateness", act))
    if "burst" in own:
        page.bursts |= {count: _told(f"burst of {count}", partial(burst, count)) for count in BURSTS}
    if "idle" in own:
        page.idle = _told("idle", partial(resting, IDLE, seconds))
    if "takeover" in own:
        page.takeovers = _told("take-over", partial(takeovers, 5))
    names = list(PEERS) if words.only is None else [name for name in words.only.split(",") if name in PEERS]
    if not {"rota", "go"}.issuperset(names):
        install_peers()
    for name in names:
        page.peers.append(_told(name, partial(measured, name, min(seconds, 60.0), BURSTS, IDLE)))
    print(page.markdown())
    if words.keep:
        RESULT.write_text(page.markdown())


def _told(label: str, act: Callable[[], T]) -> T:
    """Measure, and show at once what was found."""
    found = act()
    print(label, found.row() if isinstance(found, Lateness) else found, flush=True)
    return found


if __name__ == "__main__":
    main()
