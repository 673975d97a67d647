"""`rota schedule`: the commands of schedules, in the order that teaches them."""

from collections.abc import Callable

import typer

from rota.cli.schedule import backfilling, editing, files, ordering, planning, reading, run_history, steering

program = typer.Typer(
    name="schedule",
    help="Schedules: see, add, change, start and stop them; their runs, files and forecasts.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "list": reading.list_schedules,
    "show": reading.show,
    "add": editing.add,
    "edit": editing.edit,
    "start": steering.start,
    "stop": steering.stop,
    "restart": steering.restart,
    "pause": steering.pause,
    "hold": steering.hold,
    "run": ordering.run,
    "skip": ordering.skip,
    "backfill": backfilling.backfill,
    "cancel": ordering.cancel,
    "again": ordering.again,
    "delete": editing.delete,
    "restore": editing.restore,
    "versions": reading.versions,
    "runs": run_history.runs,
    "run-show": run_history.run_show,
    "preview": planning.preview,
    "describe": planning.describe_spec,
    "simulate": planning.simulate_schedules,
    "forecast": planning.forecast,
    "check": files.check,
    "apply": files.apply,
    "export": files.export,
    "import-crontab": files.import_crontab,
}
for name, command in _COMMANDS.items():
    program.command(name=name)(command)
