"""The check of the English, on texts whose answer is known."""

import pytest

from scripts.check_english import faults_of, long_subjects, prose_of_lua, prose_of_page, prose_of_python


def flagged(text: str) -> list[str]:
    return [reason.partition(":")[0] for _, reason in faults_of(iter([(1, text)]))]


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("Who is full for long stops to listen.", ["starts with 'Who'", "'stops to listen'"]),
        ("What nobody said.", ["starts with 'What'", "'nobody'"]),
        ("The text is no JSON.", ["'is no JSON'"]),
        ("It waits for so long at most.", ["'so long '"]),
        ("It looks whether the queue is empty.", ["'looks whether'"]),
        ("A name that is no setting, and values that are none.", ["'is no setting'", "'that are none'"]),
        ("There is no setting for it.", []),
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


def test_subject_of_a_commit_has_at_most_72_characters() -> None:
    assert list(long_subjects([f"abc1234 {'a' * 72}"])) == []
    assert list(long_subjects([f"abc1234 {'a' * 73}"])) == [
        "commit abc1234: its subject has 73 characters, and 72 at most are allowed"
    ]
