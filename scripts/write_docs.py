"""Keeps the docs in step with the code: snippets come from files that are tested, tables from the code itself.

A block in a page between `<!-- from <source> -->` and `<!-- end -->` is written by this tool. A source is a file
(`examples/hello.py`), some definitions of one (`examples/hello.py welcome main`), or a table (`table settings`).
`--check` writes nothing and fails where a page would change.
"""

import ast
import re
import sys
from pathlib import Path

from scripts.reference import TABLES
from scripts.tree import ROOT, project_files

_BLOCK = re.compile(r"(<!-- from (?P<source>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_LANGUAGES = {".py": "python", ".go": "go", ".toml": "toml", ".lua": "lua"}


def render(page: str) -> str:
    """Return the page with each block written anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{_block(match['source'])}\n{match[3]}", page)


def _block(source: str) -> str:
    first, *names = source.split()
    if first == "table":
        return TABLES[names[0]]()
    path = ROOT / first
    text = path.read_text(encoding="utf-8")
    snippet = "\n\n\n".join(definition(text, name) for name in names) if names else text
    return f"```{_LANGUAGES[path.suffix]}\n{snippet.strip()}\n```"


def definition(text: str, name: str) -> str:
    """Return the source of one top-level definition or assignment, decorators included."""
    for node in ast.parse(text).body:
        if name in _names(node):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise LookupError(f"no {name} at the top level of that file")


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()


def stale(pages: list[Path]) -> dict[Path, str]:
    """Return the pages that differ from what the code says, with their right text."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    return {page: render(text) for page, text in texts.items() if render(text) != text}


def main() -> int:
    changed = stale(project_files(".md"))
    check_only = "--check" in sys.argv[1:]
    for page, text in changed.items():
        print(f"{page.relative_to(ROOT)}: {'not in step with the code; run `make docs`' if check_only else 'written'}")
        if not check_only:
            page.write_text(text, encoding="utf-8")
    return 1 if check_only and changed else 0


if __name__ == "__main__":
    sys.exit(main())
