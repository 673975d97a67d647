"""Imports the application that a command names: `module:app`, and after commas further modules with its tasks.

A target is one text, so that a command hands it to its worker processes, and a reload uses it again. Its further parts
are modules (`shop.emails`) or patterns: `shop.**.tasks` stands for every module named `tasks` in the package `shop` and
in the packages inside it. The files are searched at each load, so a reload also finds new modules. `--discover shop`
adds the pattern `shop.**.tasks`.

When the import of a module fails, the error shows only the lines of the user's code that lead to it, because the frames
of Rota and of Python's import machinery do not help the user.
"""

import importlib
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypeAlias

import typer

import rota
from rota.app import Rota
from rota.core.text import did_you_mean, nearest
from rota.errors import ConfigError, RotaError
from rota.settings.settings import Settings
from rota.tasks.router import Tasks

MOST_SOURCE_LINES = 5
_OURS = str(Path(rota.__file__).parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class ImportFailed(RotaError):
    """A module of the user raised an error during its import."""


def failure(module: str, error: BaseException) -> RotaError:
    """Return the error to raise instead. A ConfigError, such as for a wrong task option, stays a ConfigError."""
    text = _describe(module, error)
    return ConfigError(text) if isinstance(error, ConfigError) else ImportFailed(text)


def _describe(module: str, error: BaseException) -> str:
    """Return one sentence, then each source line in the user's code, the innermost last."""
    return "\n".join([_sentence(module, error), *(f"  {source_line}" for source_line in _source_lines(error))])


def _sentence(module: str, error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, SystemExit):
        return (
            f"The module {module} ended the program while it was imported: sys.exit({error.code!r}). Put what is to "
            'run only as a program below `if __name__ == "__main__":`.'
        )
    text = error.msg if isinstance(error, SyntaxError) else _text(error)
    return f"The module {module} cannot be imported: {type(error).__name__}: {text}".rstrip(": ")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "its text cannot be read"


def _source_lines(error: BaseException) -> list[str]:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    shown = own[-MOST_SOURCE_LINES:]
    # The line in a library that raised the error. Rota raises a ConfigError itself, below its own frames.
    if frames and frames[-1] not in shown and not isinstance(error, ConfigError):
        shown.append(frames[-1])
    source_lines = [_source_line(frame.filename, frame.lineno, frame.line) for frame in shown]
    if isinstance(error, SyntaxError) and error.filename is not None:
        source_lines.append(_source_line(error.filename, error.lineno, error.text))
    return source_lines


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen")) or "/importlib/" in filename


def _source_line(filename: str, line: int | None, text: str | None) -> str:
    path = Path(filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    code = (text or "").strip()
    return f"{shown}:{line}: {code}" if code else f"{shown}:{line}"


DEFAULT_ATTRIBUTE = "app"
SEPARATOR = ","
ANY_DEPTH = ".**."
DISCOVERED = "tasks"
APP_HELP = "module:app. Default: the setting `app`."
Modules: TypeAlias = Annotated[
    list[str] | None, typer.Argument(help="Further modules to import, whose tasks belong to the app.")
]
Discover: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Import every module named tasks in this package and the packages in it; may be repeated."),
]


def target_of(app: str | None, modules: list[str] | None = None, discover: list[str] | None = None) -> str | None:
    """Return the given app, or the setting `app`, with the modules to import; None if neither names an app."""
    target = app or Settings().cli.app
    if target:
        return SEPARATOR.join([target, *(modules or []), *map(_pattern, discover or [])])
    if discover:
        raise ConfigError(
            "--discover imports further modules of an app. Name the app too: module:app, or set ROTA_APP."
        )
    return None


def chosen(command: str, app: str | None, modules: list[str] | None = None, discover: list[str] | None = None) -> str:
    """Return the target of a command that cannot do without an app."""
    target = target_of(app, modules, discover)
    if target is None:
        raise ConfigError(f"Which application? Write rota {command} module:app, or set ROTA_APP.")
    return target


def load_app(target: str) -> Rota:
    """Import the application, then the further modules. The current folder is searched first; `:app` is optional.

    Raises ConfigError for a wrong name. An error inside a module becomes a RotaError that names the lines in the code.
    """
    first, *others = (part.strip() for part in target.split(SEPARATOR))
    module_name, _, attribute = first.partition(":")
    app = _find_app(_import(module_name, first, f":{DEFAULT_ATTRIBUTE}"), module_name, attribute or DEFAULT_ATTRIBUTE)
    for part in others:
        for name in _discovered(part) if "*" in part else [part]:
            _import_further(name, first)
    return app


def _import_further(name: str, app: str) -> None:
    module, colon, _ = name.partition(":")
    if colon:
        raise ConfigError(f"A command runs one app, here {app}. Write the further module without a colon: {module}")
    _import(module, name)


def _pattern(package: str) -> str:
    if not _names_a_module(package):
        meant = package.partition(":")[0].strip("./").replace("/", ".")
        advice = f"Did you mean {meant}?" if _names_a_module(meant) else "Write --discover shop, once for each package."
        raise ConfigError(f"--discover {package} does not name a package. {advice}")
    return f"{package}{ANY_DEPTH}{DISCOVERED}"


def _discovered(pattern: str) -> list[str]:
    """Return the modules of a pattern such as `shop.**.tasks`, in alphabetical order."""
    package, _, name = pattern.partition(ANY_DEPTH)
    if not (_names_a_module(package) and name.isidentifier()):
        raise ConfigError(f"{pattern!r} is not a pattern of modules. Write shop{ANY_DEPTH}{DISCOVERED}.")
    folders = getattr(_import(package, pattern), "__path__", None)
    if folders is None:
        raise ConfigError(f"{package} is a module and not a package, so it has no modules in it. Name it by itself.")
    found = {
        f"{package}.{'.'.join(path.relative_to(folder).parts)}"
        for folder in map(Path, folders)
        for path in (
            *(file.with_suffix("") for file in folder.rglob(f"{name}.py")),
            *(file.parent for file in folder.rglob(f"{name}/__init__.py")),
        )
    }
    names = sorted(filter(_names_a_module, found))  # a folder such as `.venv` or `node-modules` cannot be imported
    if not names:
        searched = ", ".join(map(str, folders))
        raise ConfigError(f"There is no module named {name!r} in the package {package} ({searched}).")
    return names


def _names_a_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _find_app(module: object, module_name: str, path: str) -> Rota:
    found = module
    for part in path.split("."):
        if not hasattr(found, part):
            apps = [name for name, value in vars(module).items() if isinstance(value, Rota)]
            advice = did_you_mean(part, apps) if apps else f"It makes no application: {DEFAULT_ATTRIBUTE} = Rota()."
            raise ConfigError(f"{module_name} has no {part!r}. {advice}")
        found = getattr(found, part)
    if isinstance(found, Tasks) and not isinstance(found, Rota):
        raise ConfigError(f"{module_name}:{path} is a router. Name the app that includes it.")
    if not isinstance(found, Rota):
        raise ConfigError(
            f"{module_name}:{path} is of the type {type(found).__name__}, not a Rota application: name the one made by "
            "Rota(...)."
        )
    return found


def _import(name: str, target: str, suffix: str = "") -> ModuleType:
    """Import a module. `suffix` is `:app` in the advice on a target that names an app, and empty for other modules."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if name.endswith(".py") or "/" in name:
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(f"{target} is a path. Name the module instead: {dotted}{suffix}")
    if not _names_a_module(name):
        raise ConfigError(f"{target!r} does not name a module. Write module{suffix}, as in shop.tasks{suffix}.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"There is no module {error.name!r} in {folder}. {_advice(error.name, suffix)}") from None
        raise failure(name, error) from error
    except (Exception, SystemExit) as error:
        raise failure(name, error) from error


def _advice(missing: str, suffix: str) -> str:
    """Suggest what the name of a missing module may mean."""
    parent, _, last = missing.rpartition(".")
    if suffix and isinstance(getattr(sys.modules.get(parent), last, None), Rota):
        return f"Did you mean {parent}:{last}?"
    folder = Path.cwd().joinpath(*parent.split(".")) if parent else Path.cwd()
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    near = nearest(last, modules)
    if near is None:
        return f"Write module{suffix}, and run this where the module is." if suffix else "Run this where the module is."
    return f"Did you mean {f'{parent}.{near}' if parent else near}?"
