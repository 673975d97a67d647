"""How many worker processes: a number, or a range like `1..8` to grow and shrink in."""

from typing import NamedTuple


class ProcessRange(NamedTuple):
    """At least and at most so many worker processes."""

    least: int
    most: int

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to choose."""
        return self.least == self.most

    def __str__(self) -> str:
        return str(self.least) if self.fixed else f"{self.least}..{self.most}"


def read_processes(value: object) -> object:
    """Read `4`, `"4"` or `"1..8"`."""
    if isinstance(value, bool):
        raise ValueError("say how many, as 4 or 1..8")
    if isinstance(value, int):
        value = str(value)
    if isinstance(value, str):
        least, dots, most = value.partition("..")
        if not least.strip().isdecimal() or (dots and not most.strip().isdecimal()):
            raise ValueError(f"{value!r} is neither a number like 4 nor a range like 1..8")
        return ProcessRange(int(least), int(most if dots else least))
    return value


def check_processes(value: ProcessRange) -> ProcessRange:
    """Refuse what cannot be kept."""
    if not 1 <= value.least <= value.most:
        raise ValueError(f"{value} is no range: it goes from at least 1 upwards, as in 1..8")
    return value
