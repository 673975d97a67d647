"""The dialect `asynq` gives the times that robfig/cron itself gives, for thousands of random specs in zones that jump.

The specs are made from a grammar that reaches odd forms: steps beyond a range, empty parts of lists, names in any case,
both fields of days. The instants lie around clock changes, where Go's answers are least like anybody else's.
"""

import json
import random
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interop.build import binaries
from rota.errors import ScheduleError
from rota.schedule.spec import parse_spec

COUNT = 6
SPECS = 4000
ZONES = {
    "UTC": ["2024-02-28T23:00", "2096-02-28T00:00"],
    "America/New_York": ["2026-03-08T05:00", "2026-11-01T03:30", "2024-11-03T04:00"],
    "Europe/London": ["2026-03-28T23:00", "2026-10-25T00:00"],
    "America/Sao_Paulo": ["2018-11-03T12:00", "2018-02-17T22:00"],
    "Africa/Cairo": ["2024-04-25T10:00", "2024-10-31T19:00"],
    "Asia/Beirut": ["2026-03-28T20:00", "2026-10-24T18:00"],
    "Australia/Lord_Howe": ["2024-10-05T10:00", "2024-04-06T10:00"],
    "Antarctica/Troll": ["2026-03-28T22:00", "2026-10-24T22:00"],
    "Pacific/Apia": ["2011-12-31T11:00"],  # robfig's search for a later time never ends before the day that is missing
    "America/Santiago": ["2026-04-04T20:00", "2026-09-05T20:00"],
    "Asia/Kathmandu": ["1985-12-31T12:00", "2026-01-01T00:00"],
    "Asia/Shanghai": ["1991-04-13T10:00", "1991-09-14T10:00"],
    "Africa/Casablanca": ["2026-02-14T20:00", "2026-03-21T20:00"],
}
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
NAMES = {
    3: ("jan", "Feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    4: ("sun", "Mon", "TUE", "wed", "thu", "fri", "sat"),
}
FIXED = (
    "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every 90s",
    "@every 1500ms", "@every 0s", "@every -5s", "@every 1h1m1s", "@every", "@every x", "@reboot", "@Daily",
    "", " ", "* * * *", "* * * * * *", "TZ=Asia/Tokyo 0 6 * * *", "CRON_TZ=Asia/Kolkata @daily",
    "TZ=Nowhere * * * * *", "TZ=UTC @every 1h", ", * * * *", "*-5 * * * *", "5-1 * * * *", "1-2-3 * * * *",
    "*/0 * * * *", "*/2/3 * * * *", "7 * * * 7", "? ? ? ? ?", "0 0 31 2 *", "0 0 29 2 *", "0 0 30 2 1",
    "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "-1 * * * *", "+1 * * * *", "1_0 * * * *",
    "01 002 * * *", "99999999999999999999 * * * *", "* * * foo *", "L * * * *", "*/99 * * * *",
)  # fmt: skip


def number(choose: random.Random, field: int) -> str:
    low, high = RANGES[field]
    if field in NAMES and choose.random() < 0.3:
        return choose.choice(NAMES[field])
    return str(choose.randint(low, high))


def part(choose: random.Random, field: int) -> str:
    form = choose.random()
    if form < 0.3:
        base = choose.choice("*?")
    elif form < 0.6:
        base = number(choose, field)
    else:
        base = "-".join(sorted((number(choose, field), number(choose, field)), key=lambda each: each.zfill(2)))
    step = choose.choice((1, 2, 3, 5, 7, 15, 40, 100))
    return f"{base}/{step}" if choose.random() < 0.3 else base


def spec(choose: random.Random) -> str:
    fields = []
    for field in range(5):
        if choose.random() < 0.35:
            fields.append("*")
            continue
        parts = [part(choose, field) for _ in range(choose.choice((1, 1, 1, 2, 3)))]
        if choose.random() < 0.02:
            parts.append("")
        fields.append(",".join(parts))
    return " ".join(fields)


def requests(seed: int) -> list[dict[str, Any]]:
    choose = random.Random(seed)
    asked: list[dict[str, Any]] = []
    for each in [*FIXED, *(spec(choose) for _ in range(SPECS))]:
        zone = choose.choice(list(ZONES))
        start = datetime.fromisoformat(choose.choice(ZONES[zone])).replace(tzinfo=UTC)
        start += timedelta(seconds=choose.randint(0, 40_000), milliseconds=choose.choice((0, 0, 700)))
        asked.append({"spec": each, "zone": zone, "from": start.isoformat(), "count": COUNT})
    return asked


def ours(asked: dict[str, Any]) -> list[str] | None:
    """The next times; None if the spec is refused."""
    try:
        trigger = parse_spec(asked["spec"], timezone=asked["zone"], dialect="asynq")
    except ScheduleError:
        return None
    at = datetime.fromisoformat(asked["from"])
    found: list[str] = []
    while len(found) < asked["count"]:
        # Go counts an interval from the wake-up, which is here the time before.
        following = trigger.anchored(at).next(at)
        if following is None:
            break
        at = following
        found.append(at.astimezone(UTC).isoformat().replace("+00:00", "Z"))
    return found


def test_next_times_are_those_of_robfig_cron() -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    asked = requests(seed)
    lines = "".join(f"{json.dumps(each)}\n" for each in asked)
    done = subprocess.run([binaries() / "cron"], input=lines, capture_output=True, text=True, check=True, timeout=100)
    differences = []
    for each, line in zip(asked, done.stdout.splitlines(), strict=True):
        go = json.loads(line)
        expected = None if "error" in go else go["next"] or []
        found = ours(each)
        never = expected == [] and found is None  # a spec that never fires is refused here
        if found != expected and not never:
            differences.append((each, go, found))
    if differences:
        pytest.fail(f"seed {seed}: {len(differences)} differ, such as {differences[:5]}")
