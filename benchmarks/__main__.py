"""One table from one run: `python -m benchmarks` (see README.md for what it measures and how)."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contender import BY_NAME, CONTENDERS, Contender, ContenderMissing, versions
from benchmarks.install import InstallFailed, install_peers
from benchmarks.process import ChildFailed
from benchmarks.report import Report
from benchmarks.scenarios import QUICK, SCENARIOS, Cell, NotForThis, Scale
from benchmarks.server import SERVERS, Server, ServerMissing
from benchmarks.sheet import Sheet

RESULTS = Path(__file__).parent / "results"
QUICK_SECONDS = 85


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--server", choices=[*SERVERS, "both"], help="default: both; with --quick redis")
    parser.add_argument("--only", default="", help="contenders, e.g. rota,go")
    parser.add_argument("--scenario", default="", help=f"some of {','.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, help="how often throughput and enqueues are repeated; default 3")
    parser.add_argument("--quick", action="store_true", help="a small run of 90 s: a report, not a gate")
    parser.add_argument("--keep", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args(arguments)


def chosen(names: str, known: Sequence[str], what: str) -> list[str]:
    """The names of a comma list, all if it is empty."""
    wanted = [name for name in names.split(",") if name] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"unknown {what} {', '.join(unknown)}: choose from {', '.join(known)}")
    return wanted


def scale_of(options: argparse.Namespace) -> Scale:
    """The amounts that the options ask for."""
    scale = QUICK if options.quick else Scale()
    return Scale(**{**vars(scale), "rounds": options.rounds}) if options.rounds else scale


def installed(names: Sequence[str], report: Report) -> list[Contender]:
    """Install the contenders and return those that are here; why not is noted for the others."""
    present = []
    no_peers = ""
    if not {"go", "rota"}.issuperset(names):
        try:
            install_peers()
        except InstallFailed as failure:
            no_peers = f"could not be installed: {failure}"
    for name in names:
        try:
            if no_peers and name not in ("go", "rota"):
                raise ContenderMissing(no_peers)
            report.versions[name] = versions(BY_NAME[name])
            present.append(BY_NAME[name])
        except ContenderMissing as missing:
            report.missing[name] = str(missing)
    return present


class Deadline:
    """When a quick run stops taking new cells."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._at


def run(
    server: Server, contenders: Sequence[Contender], cells: Sequence[Cell], scale: Scale, deadline: Deadline
) -> Sheet:
    """Measure all cells: rounds outside, contenders inside, each round beginning with another one."""
    sheet = Sheet()
    for number in range(scale.rounds):
        turn = [*contenders[number % len(contenders) :], *contenders[: number % len(contenders)]]
        for cell in cells:
            if number and not cell.each_round:
                continue
            for contender in turn:
                if not cell.for_peers and contender.name not in ("go", "rota"):
                    sheet.miss(cell.key, contender.name, "only in a full run")
                    continue
                if deadline.passed:
                    sheet.miss(cell.key, contender.name, "not run, the time was over")
                    continue
                progress(f"round {number + 1}, {cell.key}, {contender.label}")
                attempt(server, contender, cell, scale, sheet)
    progress("")
    return sheet


def progress(words: str) -> None:
    """Show a watching person what goes on."""
    if sys.stderr.isatty():
        print(words.ljust(70), end="\r", file=sys.stderr)


def attempt(server: Server, contender: Contender, cell: Cell, scale: Scale, sheet: Sheet) -> None:
    """One cell for one contender, on an emptied server; a failure is noted, not fatal."""
    server.flush()
    try:
        cell.measure(server, contender, scale, sheet)
    except NotForThis as reason:
        if str(reason):
            sheet.miss(cell.key, contender.name, str(reason))
    except ChildFailed as failure:
        sheet.miss(cell.key, contender.name, str(failure))


def main() -> None:
    """Run what the command line asks for, print the table and keep it."""
    options = parse(sys.argv[1:])
    names = chosen(options.only, [one.name for one in CONTENDERS], "contender")
    scenarios = chosen(options.scenario, list(SCENARIOS), "scenario")
    scale = scale_of(options)
    cells = [cell for name in scenarios for cell in SCENARIOS[name](scale)]
    servers = SERVERS if (options.server or ("redis" if options.quick else "both")) == "both" else None
    is_whole = not (options.quick or options.only or options.scenario)
    deadline = Deadline(QUICK_SECONDS if options.quick else float("inf"))
    for name in servers or (options.server or "redis",):
        report = Report(name, ["python", "-m", "benchmarks", *sys.argv[1:]], is_whole)
        contenders = installed(names, report)
        try:
            with Server(name) as server:
                report.server_version = server.version
                report.sheet = run(server, contenders, cells, scale, deadline)
        except ServerMissing as missing:
            print(f"{name}: {missing}")
            continue
        print(report.markdown(scale))
        report.keep(options.keep, scale)


if __name__ == "__main__":
    main()
