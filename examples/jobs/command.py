"""The generic task `command:run`: a command that the settings name, off by default.

A task says which command and gives values for its arguments. It never gives the text of a command: there is no shell,
each value becomes a part of one argument, and the whole value must match the pattern that the settings have for it.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from examples.jobs import leash
from examples.jobs.settings import PLACE, Command, JobRefused, JobSettings
from rota import Context, Retry, SkipRetry, Tasks

tasks = Tasks()
_SHOWN = 500


class CommandFailed(Exception):
    """A command ended with an exit code other than 0, or did not end in time."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The output of a command; `dropped` is the number of bytes beyond the limit."""

    output: str
    dropped: int = 0


@tasks.task(
    "run",
    timeout="24h",
    retention="7d",
    retry=Retry(max=3, backoff="exponential", base="1m", never=[JobRefused]),
)
async def run(context: Context, command: str, arguments: dict[str, str] | None = None) -> CommandResult:
    """Run a command of JOBS_COMMANDS and return what it printed.

    Exit codes other than 0 and the time limit of the command are failures. They are retried only if the settings say
    `"retry": true` for the command. The command finds the ID of the task in `ROTA_TASK_ID`. It ends with all of its
    processes at its time limit, when the task is cancelled, and when the worker dies.
    """
    allowed = JobSettings.read().command(command)
    argv = fill_in(command, allowed, arguments or {})
    started = monotonic()
    code, output, dropped = await _run(argv, allowed, context.id)
    if code == 0:
        return CommandResult(output, dropped)
    text = f"{command} {_reason(code, allowed, monotonic() - started)}: {output[-_SHOWN:]}"
    if code == leash.NOT_STARTED or not allowed.retry:
        raise SkipRetry(text)
    raise CommandFailed(text)


def fill_in(name: str, command: Command, arguments: dict[str, str]) -> list[str]:
    """Return the arguments of the program. Raises JobRefused for a value that the settings do not allow."""
    for key in sorted(arguments.keys() ^ command.arguments.keys()):
        what = "takes no" if key in arguments else "needs the"
        raise JobRefused(f"{name} {what} argument {key!r}. It takes: {', '.join(command.arguments) or 'none'}.")
    for key, pattern in command.arguments.items():
        value = arguments[key]
        # An option such as `--output=` would give the program another meaning. No program can take a NUL.
        if not pattern.fullmatch(value) or value.startswith("-") or not value.isprintable():
            raise JobRefused(f"The value {value!r} for {key!r} is not allowed. It has to match {pattern.pattern}.")
    return [PLACE.sub(lambda found: arguments.get(found[1], found[0]), part) for part in command.argv]


async def _run(argv: list[str], command: Command, task_id: str) -> tuple[int, str, int]:
    seconds = str(command.time_limit.total_seconds())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(Path(leash.__file__)), seconds, *argv),
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        cwd=command.folder,
        env=_environment(command, task_id),
        start_new_session=True,  # Ctrl-C in the terminal of the worker is for the worker
    )
    try:
        output, dropped = await _read(process, command.output_bytes)
        code = await process.wait()
    finally:
        await _let_go(process)
    return code, output.decode(errors="replace"), dropped


async def _read(process: Process, limit: int) -> tuple[bytes, int]:
    """Read all that the command prints, and keep the first bytes."""
    assert process.stdout is not None
    kept, dropped = bytearray(), 0
    while chunk := await process.stdout.read(65536):
        room = limit - len(kept)
        kept += chunk[:room]
        dropped += max(0, len(chunk) - room)
    return bytes(kept), dropped


async def _let_go(process: Process) -> None:
    """Close the input of the leash, which then ends what is left; wait for it also if this task is cancelled."""
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.shield(asyncio.ensure_future(process.wait()))


def _environment(command: Command, task_id: str) -> dict[str, str]:
    # The environment of the worker holds its secrets, such as the URL of the server.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
    return {**kept, **command.environment, "ROTA_TASK_ID": task_id}


def _reason(code: int, command: Command, seconds: float) -> str:
    limit = command.time_limit.total_seconds()
    if code == leash.TIME_IS_OVER and seconds >= limit:
        return f"did not end within {limit:g} s and was killed"
    return f"ended with exit code {code}"
