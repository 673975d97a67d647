"""How long a store keeps its history."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from rota.settings.setting_groups import DatabaseSettings

if TYPE_CHECKING:
    from rota.store import Store


class Trimmed(NamedTuple):
    """The numbers of rows that were deleted. `deleted_tasks` are tasks that were kept for undo."""

    runs: int
    versions: int
    audit: int
    deleted_tasks: int


@dataclass(frozen=True, slots=True)
class Retention:
    """The limits of what is kept, as in the settings of the same names. `trim` deletes what is beyond them."""

    run_age: timedelta
    run_max: int
    version_max: int
    audit_age: timedelta
    deleted_age: timedelta
    deleted_max_bytes: int

    @classmethod
    def of(cls, settings: DatabaseSettings) -> "Retention":
        """Return the limits of the settings."""
        return cls(
            run_age=settings.run_age,
            run_max=settings.run_max,
            version_max=settings.version_max,
            audit_age=settings.audit_age,
            deleted_age=settings.deleted_age,
            deleted_max_bytes=settings.deleted_max_bytes,
        )

    async def trim(self, store: "Store") -> Trimmed:
        """Delete what is too old or too much. Returns the numbers."""
        return Trimmed(
            runs=await store.trim_runs(age=self.run_age, most=self.run_max),
            versions=await store.trim_versions(age=self.run_age, most=self.version_max),
            audit=await store.trim_audit(age=self.audit_age),
            deleted_tasks=await store.trim_deleted(age=self.deleted_age, max_bytes=self.deleted_max_bytes),
        )
