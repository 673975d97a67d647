"""Groups of commands that import a command when it is used.

`rota task list` is ready in half the time if it does not import the scheduler. Only the help of a group imports all of
its commands, because it shows a line of each.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from rota.cli import importing

Command = TyperCommand | TyperGroup


class Source(NamedTuple):
    """Where a command is: the name of a module below `rota.cli`, and of its function or Typer program."""

    module: str
    name: str
    context_settings: dict[str, Any] | None = None

    def load(self, command_name: str) -> Command:
        """Import the command."""
        with importing():
            found = getattr(import_module(f"rota.cli.{self.module}"), self.name)
        if isinstance(found, typer.Typer):
            made: Any = typer.main.get_group(found)
        else:
            holder = typer.Typer(add_completion=False)
            holder.command(name=command_name, context_settings=self.context_settings)(found)
            made = typer.main.get_command(holder)
        command: Command = made
        command.name = command_name
        return command


class LazyCommands(MutableMapping[str, Any]):
    """The commands of a group by name. `dress` is called with each command when it is imported."""

    def __init__(self, sources: Mapping[str, Source], further: Sequence[str]) -> None:
        self.dress: Callable[[str, Command], None] = lambda name, command: None
        self._sources = dict(sources)
        self._further = further
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            if name not in self:
                raise KeyError(name)
            self._loaded[name] = command = self._sources[name].load(name)
            self.dress(name, command)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Command) -> None:
        raise TypeError("commands come from the table of sources")

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands come from the table of sources")

    def __contains__(self, name: object) -> bool:
        return name in self._sources or name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Mapping[str, Source]:
        modules, self._further = self._further, ()
        for module in modules:
            with importing():
                commands = import_module(f"rota.cli.{module}").COMMANDS
            self._sources |= {each.__name__: Source(module, each.__name__) for each in commands}
        return self._sources


class LazyGroup(TyperGroup):
    """A group whose commands are in `sources`, in the order of the help.

    The modules in `further` have a tuple `COMMANDS`, whose functions follow. They are imported for any other name.
    """

    sources: ClassVar[Mapping[str, Source]] = {}
    further: ClassVar[Sequence[str]] = ()

    def __init__(self, **attributes: Any) -> None:
        """Take the commands from the sources."""
        super().__init__(**attributes)
        self.commands: Any = LazyCommands(self.sources, self.further)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, without an import."""
        return list(self.commands)
