"""`rota task`: the commands of tasks, in the order that teaches them."""

from typing import ClassVar

import typer

from rota.cli.lazy_group import LazyGroup, Source

NO_SHORT_OPTIONS = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""A word of a query may begin with a minus."""


class TaskGroup(LazyGroup):
    """The commands of tasks."""

    sources: ClassVar = {
        "list": Source("task.listing", "list_tasks"),
        "search": Source("task.search_command", "search", NO_SHORT_OPTIONS),
        "errors": Source("task.search_command", "errors", NO_SHORT_OPTIONS),
        "why": Source("task.why_command", "why"),
        "inspect": Source("task.one_task", "inspect"),
        "log": Source("task.task_log", "log"),
        "enqueue": Source("enqueue_command", "command"),
    }
    further = ("task.acting", "task.undoing", "task.repairing")


program = typer.Typer(
    name="task",
    cls=TaskGroup,
    help="Tasks: find and look at them, see why they wait or failed; enqueue, run, archive, delete and move them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
