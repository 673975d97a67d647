"""`rota scheduler [module:app]`: fires the schedules of an application, of its providers and of the store."""

from typing import Annotated

import typer

from rota.app import Rota
from rota.cli.option_types import Url, settings_of
from rota.cli.run_scheduler import run_scheduler
from rota.cli.target import APP_HELP, Discover, Modules, load_app, target_of
from rota.tasks import logs


def command(
    app: Annotated[str | None, typer.Argument(help=APP_HELP)] = None,
    modules: Modules = None,
    discover: Discover = None,
    url: Url = None,
    store: Annotated[str | None, typer.Option(help="The store, instead of ROTA_STORE.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting: name=value; may be repeated.")
    ] = None,
    log_level: Annotated[logs.LogLevel | None, typer.Option(help=logs.LEVEL_HELP)] = None,
    follow_parent: Annotated[bool, typer.Option("--follow-parent", hidden=True)] = False,
) -> None:
    """Fire schedules until Ctrl-C or TERM. Any number of schedulers may run: one of them leads.

    Without an app, the schedules of the store fire. `rota worker` starts a scheduler by itself.
    """
    target = target_of(app, modules, discover)
    loaded = Rota() if target is None else load_app(target)
    loaded.settings = loaded.settings.updated_by(settings_of(setting or [], url=url, store=store))
    logs.set_up(log_level, loaded.settings.logging.log)
    run_scheduler(loaded, follow_parent=follow_parent)
