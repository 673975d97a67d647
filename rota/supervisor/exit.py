"""How a worker process ended: its exit code or signal, and its peak memory."""

import os
import signal
import sys
from dataclasses import dataclass
from resource import struct_rusage

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Exit:
    """The exit code of a process (negative: the number of the signal that ended it), and its peak memory."""

    code: int
    peak_bytes: int = 0

    @classmethod
    def read(cls, status: int, usage: struct_rusage) -> "Exit":
        """Make an Exit from the values that `os.wait4` returns."""
        unit = 1 if sys.platform == "darwin" else 1024
        return cls(os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit)

    @property
    def shell_code(self) -> int:
        """The exit code as a shell reports it: 128 plus the signal number for a process that a signal ended."""
        return self.code if self.code >= 0 else 128 - self.code

    def __str__(self) -> str:
        memory = f", its memory was {self.peak_bytes // _MIB} MiB at most" if self.peak_bytes else ""
        if self.code >= 0:
            return f"ended with exit code {self.code}{memory}"
        hint = " (out of memory?)" if -self.code == signal.SIGKILL else ""
        return f"was ended by {_name(-self.code)}{hint}{memory}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
