"""What the jobs have to remember from one run to the next: which mails went out, and how each monitor stands.

The state is in a SQL database, by default a SQLite file. Workers on several machines need one that all of them reach.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from examples.jobs.dumps import read_url
from examples.jobs.engine import connected
from examples.jobs.settings import JobSettings

_metadata = MetaData()
_mails = Table(
    "jobs_mails",
    _metadata,
    Column("run", String(200), primary_key=True),
    Column("address", String(320), primary_key=True),
    Column("outcome", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
_monitors = Table(
    "jobs_monitors",
    _metadata,
    Column("name", String(200), primary_key=True),
    Column("run", String(200), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("since", String(40), nullable=False),
    Column("alerting", Boolean, nullable=False),
    Column("notice", Text, nullable=False),
)

SENDING, SENT, REFUSED = "sending", "sent", "refused"


@dataclass(frozen=True, slots=True)
class Monitor:
    """How a monitored URL stands after a run."""

    run: str = ""
    """The ID of the task that looked last, so that a task that runs twice counts once."""
    failures: int = 0
    """Failures in a row."""
    since: str = ""
    """When the first of these failures was, in ISO format."""
    alerting: bool = False
    notice: str = ""
    """The text of an alert that is not delivered yet."""


class JobState:
    """The state of the jobs, on one connection. Each method is a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def mail_outcome(self, run: str, address: str) -> tuple[str, str] | None:
        """Return the outcome of a mail and its detail; None if it was not tried, or may be tried again."""
        found = self._connection.execute(
            select(_mails.c.outcome, _mails.c.detail).where(_mails.c.run == run, _mails.c.address == address)
        ).first()
        self._connection.rollback()
        return None if found is None else (found.outcome, found.detail)

    def begin_mail(self, run: str, address: str) -> bool:
        """Note that a mail is about to be sent; return False if another process has noted it before."""
        try:
            with self._connection.begin():
                self._connection.execute(
                    insert(_mails).values(run=run, address=address, outcome=SENDING, detail="", at=datetime.now(UTC))
                )
        except IntegrityError:
            return False
        return True

    def end_mail(self, run: str, address: str, outcome: str, detail: str = "") -> None:
        """Note what became of a mail."""
        with self._connection.begin():
            self._connection.execute(
                update(_mails)
                .where(_mails.c.run == run, _mails.c.address == address)
                .values(outcome=outcome, detail=detail, at=datetime.now(UTC))
            )

    def forget_mail(self, run: str, address: str) -> None:
        """Note that a mail was surely not sent, so that it may be tried again."""
        with self._connection.begin():
            self._connection.execute(delete(_mails).where(_mails.c.run == run, _mails.c.address == address))

    def forget_mails_before(self, moment: datetime) -> None:
        """Remove the notes on mails that are so old that their tasks are over."""
        with self._connection.begin():
            self._connection.execute(delete(_mails).where(_mails.c.at < moment))

    def monitor(self, name: str) -> Monitor:
        """Return how a monitor stands."""
        columns = [column for column in _monitors.columns if column.name != "name"]
        found = self._connection.execute(select(*columns).where(_monitors.c.name == name)).first()
        self._connection.rollback()
        return Monitor() if found is None else Monitor(*found)

    def replace_monitor(self, name: str, old: Monitor, new: Monitor) -> bool:
        """Keep how a monitor stands; return False if another process has changed it since `old` was read."""
        values = {field: getattr(new, field) for field in Monitor.__slots__}
        unchanged = [_monitors.c.name == name]
        unchanged += [_monitors.c[field] == getattr(old, field) for field in ("run", "failures", "notice")]
        try:
            with self._connection.begin():
                if not old.run:
                    self._connection.execute(insert(_monitors).values(name=name, **values))
                    return True
                return bool(self._connection.execute(update(_monitors).where(*unchanged).values(**values)).rowcount)
        except IntegrityError:
            return False


@contextmanager
def job_state(settings: JobSettings) -> Iterator[JobState]:
    """Give the state to the block. The tables are made at the first use."""
    with connected(read_url(settings.state)) as connection:
        with connection.begin():
            for table in _metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
        yield JobState(connection)
