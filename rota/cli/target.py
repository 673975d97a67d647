"""`module:app`, the way every command names an application."""

import importlib
import sys
from pathlib import Path

from rota.app import Rota
from rota.errors import ConfigError
from rota.suggestion import did_you_mean

DEFAULT_ATTRIBUTE = "app"


def load_app(target: str) -> Rota:
    """Import the application. The current folder is looked in first; `:app` may be left out.

    Raises ConfigError for a wrong name; an error inside the module comes through as it is.
    """
    module_name, _, attribute = target.partition(":")
    module = _import(module_name, target)
    found = module
    for part in (attribute or DEFAULT_ATTRIBUTE).split("."):
        if not hasattr(found, part):
            apps = [name for name, value in vars(module).items() if isinstance(value, Rota)]
            raise ConfigError(f"{module_name} has no {part!r}. {did_you_mean(part, apps)}")
        found = getattr(found, part)
    if not isinstance(found, Rota):
        raise ConfigError(
            f"{target} is a {type(found).__name__}, not a Rota application: name the one made by Rota(...)."
        )
    return found


def _import(name: str, target: str) -> object:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if name.endswith(".py") or "/" in name:
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(f"{target} is a path. Name the module instead: {dotted}:{DEFAULT_ATTRIBUTE}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(
                f"There is no module {error.name!r} in {folder}. Write module:app, and run this where the module is."
            ) from None
        raise
