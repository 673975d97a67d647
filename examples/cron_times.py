"""Finds the next times of a schedule without running anything."""

from datetime import UTC, datetime

from rota.schedule.preview import preview
from rota.schedule.spec import parse_spec

trigger = parse_spec("30 2 * * mon-fri", timezone="Europe/Berlin")
print(trigger.next(datetime(2026, 11, 29, tzinfo=UTC)))
for row in preview(trigger, 2, after=datetime(2026, 11, 29, tzinfo=UTC)):
    print(row.at, row.note)
