"""Files of schedules: what they may hold, where their faults are, and that writing and reading agree."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import ScheduleInvalid
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.schedule_file import ScheduleFile, read_file, write_file

GOOD = """\
tag: shop
defaults:
  timezone: Europe/Berlin
  queue: low
schedules:
  - name: nightly backup
    task_type: backup:database
    specs: "30 2 * * *"
    then: {on: failure, task_type: alert}
  - name: mail
    task_type: mail
    kind: once
    process_at: 2026-03-01T09:00+01:00
    queue: high
    tags: [post]
"""


def problems(text: str) -> dict[str, str]:
    """The problems of a file that must be refused, by their source lines."""
    with pytest.raises(ScheduleInvalid) as refused:
        read_file(text, "s.yaml")
    assert all(f"{source_line}: {what}" in str(refused.value) for source_line, what in refused.value.problems)
    found: dict[str, str] = {}
    for source_line, what in refused.value.problems:
        found[source_line] = f"{found.get(source_line, '')}{what}\n"
    return found


def row(text: str) -> str:
    """A file with one schedule that has a further line."""
    return f"schedules:\n  - name: a\n    task_type: t\n    {text}\n"


def test_file_gives_defaults_and_its_tag_to_each_schedule() -> None:
    file = read_file(GOOD, "shop.yaml")
    backup, mail = (each.definition for each in file.schedules)
    assert file.tags == {"shop"}
    assert (backup.timezone, backup.queue, backup.tags) == ("Europe/Berlin", "low", ("shop",))
    assert backup.then[0].on == "failure"
    assert (mail.queue, mail.tags) == ("high", ("post", "shop"))
    assert mail.process_at is not None
    assert mail.process_at.isoformat() == "2026-03-01T08:00:00+00:00"
    assert [each.source_line for each in file.schedules] == ["shop.yaml:6", "shop.yaml:10"]
    assert file.schedules[1].named >= {"name", "timezone", "queue", "process_at"}


def test_json_is_read_as_yaml_is() -> None:
    text = json.dumps({"schedules": [{"name": "a", "task_type": "t", "specs": ["* * * * *"], "payload": {"n": 2**70}}]})
    assert read_file(text, "s.json").schedules[0].definition.payload == {"n": 2**70}


def test_json_with_escaped_halves_of_characters_is_read() -> None:
    remark = "\U0001f600\U0001f600 \\\U0001f600 \\ud83d\\ude00"
    text = json.dumps({"schedules": [{"name": "a", "task_type": "t", "specs": "@daily", "remark": remark}]})

    assert "\\ud83d\\ude00" in text
    assert read_file(text, "s.json").schedules[0].definition.remark == remark


@pytest.mark.parametrize("as_json", [True, False])
def test_written_file_reads_back_the_same(as_json: bool) -> None:
    definitions = [each.definition for each in read_file(GOOD, "s").schedules]
    again = read_file(write_file(definitions, as_json=as_json), "again")
    assert [each.definition for each in again.schedules] == definitions


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)


@given(TEXTS.filter(str.strip), TEXTS, st.booleans())
def test_any_text_in_a_payload_survives_writing_and_reading(remark: str, text: str, as_json: bool) -> None:
    before = ScheduleDefinition(name="n", task_type="t", specs="* * * * *", remark=remark, payload={text: [text]})
    file = read_file(write_file([before], as_json=as_json), "s")
    assert [each.definition for each in file.schedules] == [before]


@pytest.mark.parametrize(
    ("text", "source_line", "said"),
    [
        ("schedules:\n# \x07", "s.yaml:2", "write \\u0007 in double quotes"),
        ("schedules: [", "s.yaml:1", "not YAML or JSON"),
        ("a: 1\na: 2", "s.yaml:2", 'duplicate key "a"'),
        ("schedules:\n- {name: a, specs: *x}", "s.yaml:2", "undefined alias"),
        (row("specs: */5 * * * *"), "s.yaml:4", "Quote a text that begins with *"),
        (row("specs: @daily"), "s.yaml:4", "Quote a text that begins with *, @"),
        (row("specs: !!python/object:os.system x"), "s.yaml", "python/object:os.system is not allowed"),
        ("", "s.yaml", "not a file of schedules"),
        ("- a", "s.yaml:1", "not a file of schedules"),
        ("schedule: []", "s.yaml:1", "Did you mean 'schedules'?"),
        ("schedules: 3", "s.yaml:1", "write a list of schedules"),
        ("schedules:\n  - 3", "s.yaml:2", "3 is not a schedule"),
        ("tag: [a]\nschedules: []", "s.yaml:1", "must be a text"),
        ("defaults: {tiemzone: UTC}\nschedules: []", "s.yaml:1", "Did you mean 'timezone'?"),
        ("defaults: {name: a}\nschedules: []", "s.yaml:1", "cannot be a default"),
        (row("specs: '* * * * *'\n    tiemout: 30s"), "s.yaml:5", "Did you mean 'timeout'?"),
        (row("specs: '* * * * *'\n    timeout: 30"), "s.yaml:5", "no unit"),
        (row("kind: once\n    process_in: 5m"), "s.yaml:5", "write process_at"),
        (
            row("specs: '* * * * *'\n  - name: a\n    task_type: t\n    specs: '@daily'"),
            "s.yaml:5",
            "stands at s.yaml:2",
        ),
    ],
)
def test_fault_is_refused_at_its_line(text: str, source_line: str, said: str) -> None:
    found = problems(text)
    assert source_line in found, found
    assert said in found[source_line]


def test_all_problems_are_shown_at_once() -> None:
    found = problems("extra: 1\n" + row("specs: '* * * * *'\n    timeout: 30\n    queue: '}'"))
    assert sorted(found) == ["s.yaml:1", "s.yaml:6", "s.yaml:7"]


def test_anchors_that_multiply_a_value_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 1,000,000 values" in problems("\n".join(lines))["s.yaml"]


def test_two_files_may_not_have_the_same_schedule() -> None:
    first, second = (read_file(row("specs: '@daily'"), source) for source in ("a.yaml", "b.yaml"))
    with pytest.raises(ScheduleInvalid, match=r"b\.yaml:2: The name 'a' stands at a\.yaml:2"):
        ScheduleFile.joined([first, second])
