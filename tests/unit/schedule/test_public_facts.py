"""Other cron libraries publish what they expect of an expression; where our rules are the same, so is the result.

Each file in `facts/` has the rows of one library. Left out are the rows that follow other rules, which are:

- Cronos: both day fields have to match; an expression with a wildcard, a range or a step of hours, minutes or seconds
  fires at the end of the skipped hour if it has a time within it.
- cronsim: `*/7` in a day field counts as a star; a range of hours fires once in the repeated hour; with a field of
  seconds, all expressions follow elapsed time.
- quartznet: a skipped time fires as much later as the clock jumps; `FRI/2` is every second week; Sunday is 1.
- croniter: the field of seconds is the last one; `5-5` is the whole range.
- croner: a skipped time fires as much later as the clock jumps; a range cannot wrap around; there is a year field.
"""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rota.schedule.cron import CronExpression
from rota.schedule.spec import parse_spec
from rota.schedule.trigger import RobfigTrigger, Trigger

FOLDER = Path(__file__).parent / "facts"
SOURCES = sorted(path.stem for path in FOLDER.glob("*.txt"))


def rows(source: str) -> list[list[str]]:
    lines = (FOLDER / f"{source}.txt").read_text().splitlines()
    return [[cell.strip() for cell in line.rsplit("|", 3)] for line in lines if not line.startswith("#")]


def trigger_of(source: str, text: str, zone: str) -> Trigger:
    if source != "robfig":
        return parse_spec(text, timezone=zone)
    # Asynq's dialect has no seconds, but robfig/cron can be set to read them, as its tests do.
    dialect = "asynq" if len(text.split()) == 5 else "rota"
    return RobfigTrigger(text, CronExpression.parse(text, dialect), ZoneInfo(zone))


def test_there_are_enough_facts_of_each_library() -> None:
    assert {"cronos", "cronos_dst", "robfig", "cronsim", "croniter", "croniter_previous", "quartznet", "croner"} == set(
        SOURCES
    )
    assert sum(len(rows(source)) for source in SOURCES) > 700


@pytest.mark.parametrize("source", SOURCES)
def test_expressions_fire_as_another_library_expects(source: str) -> None:
    wrong: list[str] = []
    for text, zone, start, times in rows(source):
        trigger = trigger_of(source, text, zone)
        at: datetime | None = datetime.fromisoformat(start)
        for expected in times.split():
            assert at is not None
            at = trigger.previous(at) if source.endswith("_previous") else trigger.next(at)
            wanted = None if expected == "never" else datetime.fromisoformat(expected)
            if at != wanted:
                wrong.append(f"{text} in {zone} from {start}: {at}, not {expected}")
                break
    assert not wrong, "\n".join(wrong)
