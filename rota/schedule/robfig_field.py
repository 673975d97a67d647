"""Reads one field of a cron expression as robfig/cron v3.0.1 does, for Asynq's dialect.

Its oddities are kept: empty items of a list do not count, nor does what follows `*-`, and a number may have a plus.
"""

import re

from rota.schedule.cron_field import CronField, CronPart, FieldFault, Range, mask_of, unknown_name


def read_robfig_field(limits: Range, text: str) -> CronField:
    """Read a field as `getField` and `getRange` of robfig/cron do: empty items and what follows `*-` do not count."""
    parts: list[CronPart] = []
    mask, star, repeats, position = 0, False, False, 0
    for item in text.split(","):
        if item:
            part = _robfig_part(limits, item, position)
            parts.append(part)
            mask |= mask_of(part, limits, "")
            star = star or (part.kind == "any" and part.step <= 1)
            repeats = repeats or part.kind != "value"
        position += len(item) + 1
    return CronField(text, tuple(parts), mask, star, repeats)


def _robfig_part(limits: Range, item: str, position: int) -> CronPart:
    span, *steps = item.split("/")
    low, *highs = span.split("-")
    if len(steps) > 1:
        raise FieldFault(position + item.rindex("/"), f"'{item}' has more than one slash.")
    step = 0
    if steps:
        step = _robfig_number(steps[0], position + len(span) + 1, Range("step", 0, 0, {}, 0))
        if step == 0:
            raise FieldFault(position + len(span) + 1, "a step of 0 never moves on: write 1 or more.")
    if low in ("*", "?"):
        return CronPart(item, "any", limits.low, limits.high, step)
    if len(highs) > 1:
        raise FieldFault(position + span.rindex("-"), f"'{item}' has more than one hyphen.")
    start = _robfig_value(low, position, limits)
    if highs:
        end = _robfig_value(highs[0], position + len(low) + 1, limits)
        if start > end:
            raise FieldFault(position, f"the range {span} ends before it starts, which Asynq's dialect does not read.")
        return CronPart(item, "range", start, end, step)
    return CronPart(item, "range", start, limits.high, step) if steps else CronPart(item, "value", start, start)


def _robfig_value(word: str, position: int, limits: Range) -> int:
    value = limits.names.get(word.lower())
    if value is None:
        value = _robfig_number(word, position, limits)
    if limits.low <= value <= limits.high:
        return value
    more = " Write 0 for Sunday." if limits.wrap == 7 and value == 7 else ""
    raise FieldFault(position, f"{limits.name} {word[:12]} is outside of {limits.low}-{limits.high}.{more}")


def _robfig_number(word: str, position: int, limits: Range) -> int:
    if not re.fullmatch(r"\+?[0-9]+", word):
        raise FieldFault(position, unknown_name(word, limits) if word else "a number is missing here.")
    return int(word)
