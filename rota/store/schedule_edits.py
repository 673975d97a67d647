"""Edits of schedules. Each is one transaction: the row, its new version, its tags and a row of the audit.

An edit names the version that its user saw (`expected_version`). If another edit came first, it is refused with
StaleVersion, which has the present schedule. Without `expected_version` the edit applies to what is there.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.core.randomness import uuid7
from rota.errors import StaleVersion, StoreConflict, StoreError, StoreNotFound
from rota.schedule.definition import ScheduleDefinition, Source, StoredSchedule
from rota.schedule.due import timing
from rota.store.database import Database, records
from rota.store.due_window import NEVER, first_look
from rota.store.edits import Edit, begin_edit
from rota.store.schedule_rows import (
    MEMBERS,
    changed_fields,
    columns_of,
    definition_of,
    readable,
    schedule_of,
    tag_rows,
)
from rota.store.tables import schedule_tags, schedule_versions, schedules
from rota.store.then_chains import refuse_chain


class ScheduleEdits:
    """Creates, changes, deletes and restores schedules."""

    database: Database

    async def create(
        self, definition: ScheduleDefinition, *, by: str, origin: str = "", source: Source = "database"
    ) -> StoredSchedule:
        """Store a new schedule. Raises StoreConflict if its name is taken.

        `by` is the user and `origin` the program that the edit comes from; both are written into the audit. The
        moment that `process_in` means is counted from now.
        """

        async def act(connection: AsyncConnection) -> StoredSchedule:
            edit = await begin_edit(connection, by, origin)
            settled = definition.settled(edit.at)
            columns = columns_of(settled)
            await _refuse_taken(edit, settled.name)
            await refuse_chain(connection, settled)
            schedule_id = str(uuid7())
            made = StoredSchedule(
                id=schedule_id,
                definition=settled,
                source=source,
                revision=edit.revision,
                created_at=edit.at,
                created_by=edit.by,
                updated_at=edit.at,
                updated_by=edit.by,
                since=edit.at,
                due_at=first_look(schedule_id, settled, edit.at),
            )
            await connection.execute(insert(schedules).values(**columns, **_members(made)))
            await _write_version(edit, made, "created", tuple(columns["definition"]))
            await edit.record("schedule.create", "schedule", made.id, {"after": columns["definition"]})
            return made

        return await self.database.write(act)

    async def update(
        self,
        schedule_id: str,
        patch: Mapping[str, Any],
        *,
        by: str,
        expected_version: int | None = None,
        origin: str = "",
    ) -> StoredSchedule:
        """Replace some fields; None resets a field to its default. A patch that changes nothing makes no version.

        Raises ScheduleInvalid, StaleVersion, StoreNotFound, or StoreConflict if the schedule is deleted or declared in
        code, or if the new name is taken.
        """

        async def act(connection: AsyncConnection) -> StoredSchedule:
            edit = await begin_edit(connection, by, origin)
            present = await _present(edit, schedule_id, expected_version)
            _refuse_deleted(present)
            definition = present.definition.patched(patch).settled(edit.at)
            if definition == present.definition:
                return present
            return await _replace(edit, present, definition, "updated")

        return await self.database.write(act)

    async def delete(
        self, schedule_id: str, *, by: str, expected_version: int | None = None, origin: str = ""
    ) -> StoredSchedule:
        """Delete a schedule, so that it does not fire and its name is free. `restore` undoes this."""

        async def act(connection: AsyncConnection) -> StoredSchedule:
            edit = await begin_edit(connection, by, origin)
            present = await _present(edit, schedule_id, expected_version)
            if present.deleted_at is not None:
                return present
            await connection.execute(
                update(schedules)
                .where(schedules.c.id == schedule_id)
                .values(live_name=None, revision=edit.revision, deleted_at=edit.at, deleted_by=edit.by, due_at=NEVER)
            )
            before = present.definition.to_mapping()
            await edit.record("schedule.delete", "schedule", schedule_id, {"before": before})
            return await _row(edit, schedule_id)

        return await self.database.write(act)

    async def restore(
        self,
        schedule_id: str,
        *,
        by: str,
        version: int | None = None,
        expected_version: int | None = None,
        origin: str = "",
    ) -> StoredSchedule:
        """Undo a deletion. With `version`, the schedule also gets the definition of that version, as a new version.

        This also mends a schedule whose row cannot be read. Raises StoreConflict if its name is taken meanwhile.
        """

        async def act(connection: AsyncConnection) -> StoredSchedule:
            edit = await begin_edit(connection, by, origin)
            if version is None:
                present = await _present(edit, schedule_id, expected_version)
                if present.deleted_at is None:
                    return present
                return await _replace(edit, present, present.definition, "restored")
            wanted = await _definition_at(edit, schedule_id, version)
            present = await _present(edit, schedule_id, expected_version, instead=wanted)
            return await _replace(edit, present, wanted, "restored")

        return await self.database.write(act)


async def _replace(edit: Edit, present: StoredSchedule, definition: ScheduleDefinition, act: str) -> StoredSchedule:
    """Write a further version of a schedule, which is not deleted afterwards."""
    columns = columns_of(definition)
    await _refuse_taken(edit, definition.name, but=present.id)
    await refuse_chain(edit.connection, definition, but=present.id)
    same_times = timing(definition) == timing(present.definition)
    values = {
        **columns,
        "since": present.since or present.updated_at if same_times and present.deleted_at is None else edit.at,
        "due_at": edit.at,  # the leader looks at it once, and knows better when it is due
        "version": present.version + 1,
        "revision": edit.revision,
        "updated_at": edit.at,
        "updated_by": edit.by,
        "deleted_at": None,
        "deleted_by": None,
    }
    await edit.connection.execute(update(schedules).where(schedules.c.id == present.id).values(**values))
    made = await _row(edit, present.id)
    before, after = present.definition.to_mapping(), columns["definition"]
    changed = changed_fields(before, after)
    await _write_version(edit, made, act, changed)
    detail = {"before": _only(before, changed), "after": _only(after, changed), "version": made.version}
    await edit.record(f"schedule.{act.removesuffix('d')}", "schedule", made.id, detail)
    return made


async def _write_version(edit: Edit, made: StoredSchedule, act: str, changed: tuple[str, ...]) -> None:
    await edit.connection.execute(
        insert(schedule_versions).values(
            schedule_id=made.id,
            version=made.version,
            act=act,
            changed=list(changed),
            definition=made.definition.to_mapping(),
            at=edit.at,
            by=edit.by,
        )
    )
    await edit.connection.execute(delete(schedule_tags).where(schedule_tags.c.schedule_id == made.id))
    if rows := tag_rows(made.id, made.definition):
        await edit.connection.execute(insert(schedule_tags), rows)


async def _present(
    edit: Edit, schedule_id: str, expected: int | None, *, instead: ScheduleDefinition | None = None
) -> StoredSchedule:
    """Return the schedule to edit. With `instead`, the row may hold a definition that cannot be read."""
    present = await _row(edit, schedule_id, instead)
    if expected is not None and expected != present.version:
        raise StaleVersion(
            f"The schedule {present.definition.name!r} has version {present.version}, edited by "
            f"{present.updated_by or 'someone'}, and this edit was made on version {expected}. Look at the new version "
            "and edit that one.",
            expected=expected,
            present=present,
        )
    if present.source != "database":
        raise StoreConflict(f"The schedule {present.definition.name!r} is declared in code. Edit it there.")
    return present


async def _row(edit: Edit, schedule_id: str, instead: ScheduleDefinition | None = None) -> StoredSchedule:
    rows = await records(edit.connection, select(schedules).where(schedules.c.id == schedule_id))
    if not rows:
        raise StoreNotFound(f"There is no schedule with the ID {schedule_id!r}.")
    items, problems = readable(rows, schedule_of, "schedule")
    if items:
        return items[0]
    if instead is None:
        raise StoreError(f"{problems[0]} Restore one of its versions, or delete its row.")
    return StoredSchedule(
        id=schedule_id,
        definition=instead,
        version=rows[0]["version"],
        source=rows[0]["source"],
        created_at=edit.at,
        created_by=rows[0]["created_by"],
        updated_at=edit.at,
        updated_by=rows[0]["updated_by"],
    )


async def _definition_at(edit: Edit, schedule_id: str, version: int) -> ScheduleDefinition:
    found = schedule_versions.c
    query = select(schedule_versions).where(found.schedule_id == schedule_id, found.version == version)
    rows = await records(edit.connection, query)
    if not rows:
        raise StoreNotFound(f"There is no version {version} of a schedule with the ID {schedule_id!r}.")
    items, problems = readable(rows, definition_of, "version")
    if not items:
        raise StoreError(f"{problems[0]} Restore another version.")
    return items[0]


async def _refuse_taken(edit: Edit, name: str, *, but: str = "") -> None:
    query = select(schedules.c.id).where(schedules.c.live_name == name, schedules.c.id != but)
    if (holder := (await edit.connection.execute(query)).scalar()) is not None:
        raise StoreConflict(f"There is a schedule {name!r} already ({holder}). Choose another name, or edit that one.")


def _refuse_deleted(present: StoredSchedule) -> None:
    if present.deleted_at is not None:
        raise StoreConflict(
            f"The schedule {present.definition.name!r} was deleted by {present.deleted_by or 'someone'}. Restore it "
            "before you edit it."
        )


def _members(made: StoredSchedule) -> dict[str, Any]:
    return {name: getattr(made, name) for name in MEMBERS}


def _only(mapping: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: mapping[name] for name in names if name in mapping}
