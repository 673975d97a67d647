"""The check of the English, on texts whose answer is known."""

import pytest

from scripts.check_english import faults_of, prose_of_lua, prose_of_page, prose_of_python


def flagged(text: str) -> list[str]:
    return [reason.partition(":")[0] for _, reason in faults_of(iter([(1, text)]))]


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("Who is full for long stops to listen.", ["starts with 'Who'", "'stops to listen'"]),
        ("What nobody said.", ["starts with 'What'", "'nobody'"]),
        ("The text is no JSON.", ["'is no JSON'"]),
        ("It waits for so long at most.", ["'so long '"]),
        ("What happens if the worker dies?", []),
        ("A worker that holds `nobody` waits as so long as it can.", []),
        ("The text is not valid JSON.", []),
    ],
)
def test_sentences_to_decode_are_flagged(text: str, reasons: list[str]) -> None:
    assert flagged(text) == reasons


def test_only_prose_is_read() -> None:
    python = '"""Whoever reads."""\nnobody = "somebody"  # so many\n'
    assert [text for _, text in prose_of_python(python)] == ["Whoever reads.", "so many"]
    assert list(prose_of_lua("--! include end\nlocal nobody = 1 -- whoever\n")) == [(2, "whoever")]
    assert [text for _, text in prose_of_page("Plain.\n```\nnobody\n```\n")] == ["Plain."]
