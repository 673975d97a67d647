"""`rota schedule`: the commands of schedules, in the order that teaches them."""

from typing import ClassVar

import typer

from rota.cli.lazy_group import LazyGroup, Source


class ScheduleGroup(LazyGroup):
    """The commands of schedules."""

    sources: ClassVar = {
        "list": Source("schedule.reading", "list_schedules"),
        "show": Source("schedule.reading", "show"),
        "add": Source("schedule.editing", "add"),
        "edit": Source("schedule.editing", "edit"),
        "start": Source("schedule.steering", "start"),
        "stop": Source("schedule.steering", "stop"),
        "restart": Source("schedule.steering", "restart"),
        "pause": Source("schedule.steering", "pause"),
        "hold": Source("schedule.steering", "hold"),
        "run": Source("schedule.ordering", "run"),
        "skip": Source("schedule.ordering", "skip"),
        "backfill": Source("schedule.backfilling", "backfill"),
        "cancel": Source("schedule.ordering", "cancel"),
        "again": Source("schedule.ordering", "again"),
        "delete": Source("schedule.editing", "delete"),
        "restore": Source("schedule.editing", "restore"),
        "versions": Source("schedule.reading", "versions"),
        "runs": Source("schedule.run_history", "runs"),
        "run-show": Source("schedule.run_history", "run_show"),
        "preview": Source("schedule.planning", "preview"),
        "describe": Source("schedule.planning", "describe_spec"),
        "simulate": Source("schedule.planning", "simulate_schedules"),
        "forecast": Source("schedule.planning", "forecast"),
        "check": Source("schedule.files", "check"),
        "apply": Source("schedule.files", "apply"),
        "export": Source("schedule.files", "export"),
        "import-crontab": Source("schedule.files", "import_crontab"),
    }


program = typer.Typer(
    name="schedule",
    cls=ScheduleGroup,
    help="Schedules: see, add, change, start and stop them; their runs, files and forecasts.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
