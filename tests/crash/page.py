"""`docs/reliability.md`, in which the last results are written between marks."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def read(mark: str) -> list[str]:
    """The lines between the marks."""
    return PAGE.read_text().split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0].strip().splitlines()


def write(mark: str, lines: list[str]) -> None:
    """Replace them."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    text = PAGE.read_text()
    before, after = text.split(begin)[0], text.split(end)[1]
    PAGE.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after)
