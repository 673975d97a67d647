"""Checks that every relative link in the Markdown files leads to a file and, where it names one, to a heading.

Addresses of other hosts are not followed: the checks need no network.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from scripts.tree import ROOT, project_files

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the names under which a Markdown page's headings can be linked, as code hosts make them."""
    names: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        repeats = sum(known == name or known.startswith(f"{name}-") for known in names)
        names.add(f"{name}-{repeats}" if name in names else name)
    return names


def links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links, those in code left out."""
    for inline, reference in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
        yield inline or reference


def broken(page: Path) -> Iterator[str]:
    """Yield one sentence for each link of the page that leads nowhere."""
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        if not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{link}: {target.name} has no such heading"


def main() -> int:
    pages = project_files(".md")
    faults = [f"{page.relative_to(ROOT)}: {fault}" for page in pages for fault in broken(page)]
    for fault in faults:
        print(fault)
    print(f"{len(pages)} pages checked")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
