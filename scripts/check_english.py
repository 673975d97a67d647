"""Flags English that a reader has to decode, in docstrings, comments, pages of the docs and subjects of commits.

Flagged are sentences that begin with Who, Whoever, Whom or What and are no questions, and words and phrases that stand
where a name, a number or a plain negation belongs. `python -m scripts.check_english [path ...]` prints each sentence;
code, quoted text and the change log are left out. A flagged text that is right can be said in other words. Without a
path, the subjects of the last commits are read too: one has at most 72 characters.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from scripts.tree import ROOT, project_files

OPENING = re.compile(r"(?:^|[.:;] )((?:Who|Whoever|Whom|What) [^.?!]*)(?=[.!]|$)")
PHRASES = re.compile(
    r"\b(somebody|nobody|whoever|whomever|all the same|at last|so long (?!as\b)|so many\b|so much\b(?! as)|that many"
    r"|now and then|stops? to (?:listen|fetch|take|run|send)|begins? to be"
    r"|look(?:s|ed|ing)? (?:whether|which|what)|(?:is|are) not any more|that (?:is|are) (?-i:none)\b|as it should\b"
    r"|(?<!there )(?:is|are) no (?:setting|option|cursor|event|part|address|word)\b"
    r"|(?:is|are|was|were|has|have|had) no (?:JSON|number|text|task|message|duration|plan|name|function|good|valid)\b)",
    re.IGNORECASE,
)
LEFT_OUT = {"CHANGELOG.md"}
LONGEST_SUBJECT = 72
COMMITS = 100
"""The last commits whose subjects are checked. Those before the rule are older."""
CODE = re.compile(r"`[^`]*`|\"[^\"]*\"|\([^)]*\]\([^)]*\)")
Line = tuple[int, str]


def prose_of_python(source: str) -> Iterator[Line]:
    """Yield the lines of docstrings and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(node.value.value.splitlines(), node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def prose_of_lua(source: str) -> Iterator[Line]:
    """Yield the comments."""
    for number, line in enumerate(source.splitlines(), 1):
        _, mark, comment = line.partition("--")
        if mark and not comment.startswith("!"):
            yield number, comment.strip()


def prose_of_page(source: str) -> Iterator[Line]:
    """Yield the lines of a Markdown page that are not in a block of code."""
    inside = False
    for number, line in enumerate(source.splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside and not line.startswith("#"):  # a heading may be a question without its mark
            yield number, line.strip(" |-*>")


READERS = {".py": prose_of_python, ".lua": prose_of_lua, ".md": prose_of_page}


def faults_of(lines: Iterator[Line]) -> Iterator[Line]:
    """Yield number and reason of each flagged sentence."""
    for number, text in lines:
        plain = CODE.sub("X", text)
        for found in OPENING.finditer(plain):
            yield number, f"starts with {found[1].split()[0]!r}: {text.strip()}"
        for found in PHRASES.finditer(plain):
            yield number, f"{found[1]!r}: {text.strip()}"


def subjects(root: Path = ROOT) -> list[str]:
    """Return the last commits, each as its short hash and its subject."""
    command = ["git", "log", "--no-merges", f"--max-count={COMMITS}", "--format=%h %s"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()


def long_subjects(commits: list[str]) -> Iterator[str]:
    """Yield a sentence for each subject that is too long."""
    for commit in commits:
        name, _, subject = commit.partition(" ")
        if len(subject) > LONGEST_SUBJECT:
            yield f"commit {name}: its subject has {len(subject)} characters, and {LONGEST_SUBJECT} at most are allowed"


def main(arguments: list[str]) -> int:
    """Check the given files or folders; or `rota/`, `docs/`, two pages and the last commits."""
    wanted = [str(Path(each)) for each in arguments] or ["rota", "docs", "README.md", "CONTRIBUTING.md"]
    long = [] if arguments else list(long_subjects(subjects()))
    print(*long, sep="\n", end="\n" if long else "")
    count = len(long)
    for suffix, read in READERS.items():
        for path in project_files(suffix):
            shown = str(path.relative_to(ROOT))
            if path.name in LEFT_OUT or not any(shown == each or shown.startswith(f"{each}/") for each in wanted):
                continue
            for number, reason in faults_of(read(path.read_text(encoding="utf-8"))):
                print(f"{shown}:{number}: {reason}")
                count += 1
    print(f"{count} sentences to rewrite")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
