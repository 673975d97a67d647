"""Inspections of a machine: disks, memory, load, and the end dates of certificates.

As with the check of a URL, what is found is the result of the task, and findings are mailed to the addresses that the
task names. The task fails only if it cannot do its work.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import Annotated

from annotated_types import Interval

from examples.jobs.alert import send_alert
from examples.jobs.settings import JobRefused, JobSettings
from rota import Context, Retry, Tasks
from rota.core.text import counted

tasks = Tasks()
Percent = Annotated[float, Interval(ge=0, le=100)]
RETRY = Retry(max=5, backoff="exponential", base="10s", cap="10m", never=[JobRefused])


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was measured, and what of it is a problem."""

    host: str
    measured: dict[str, float | None]
    """None stands for what this kind of system does not tell."""
    problems: list[str]


@tasks.task("machine", timeout="5m", retention="7d", retry=RETRY)
def inspect_machine(
    context: Context,
    disks: list[str] | None = None,
    disk_free: Percent = 10,
    memory_free: Percent = 5,
    load_per_core: float = 4,
    alert: list[str] | None = None,
) -> Inspection:
    """Measure the machine that the worker runs on, and mail its problems to the addresses in `alert`.

    `disks` are names of JOBS_FOLDERS; all of them if none are given. A problem is less free space than `disk_free`
    percent, less free memory than `memory_free` percent, and a longer load of five minutes than `load_per_core`.
    """
    settings = JobSettings.read()
    measured: dict[str, float | None] = {}
    problems: list[str] = []
    for disk in disks or sorted(settings.folders):
        free = measured[f"disk {disk}"] = free_disk(settings.folder(disk))
        if free < disk_free:
            problems.append(f"The disk of {disk} has {free:.1f} % free, and should have {disk_free:g} %.")
    memory = measured["memory"] = free_memory()
    if memory is not None and memory < memory_free:
        problems.append(f"{memory:.1f} % of the memory is free, and {memory_free:g} % should be.")
    load = measured["load"] = round(os.getloadavg()[1] / (os.cpu_count() or 1), 2)
    if load > load_per_core:
        problems.append(f"The load is {load:g} for each core, and should be at most {load_per_core:g}.")
    report_problems(settings, context.id, alert, problems)
    return Inspection(gethostname(), measured, problems)


def free_disk(folder: Path) -> float:
    """Return which percentage of a disk programs can still use."""
    if not folder.exists():
        raise JobRefused(f"{folder} is not there.")
    about = shutil.disk_usage(folder)
    return round(100 * about.free / (about.used + about.free), 2) if about.used + about.free else 0.0


def free_memory(source: Path = Path("/proc/meminfo")) -> float | None:
    """Return which percentage of the memory programs can still get; None where the system does not tell."""
    if not source.exists():
        return None
    sizes = dict(_sizes(source.read_text()))
    return round(100 * sizes["MemAvailable"] / sizes["MemTotal"], 2)


def _sizes(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        name, _, size = line.partition(":")
        yield name, int(size.split()[0])


def report_problems(settings: JobSettings, run: str, alert: list[str] | None, problems: list[str]) -> None:
    """Mail problems, once for a run."""
    if alert and problems:
        subject = f"{counted(len(problems), 'problem')} on {gethostname()}"
        send_alert(settings, f"{run} alert", alert, subject, "\n".join(problems) + "\n")
