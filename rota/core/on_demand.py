"""Packages whose names are imported from their modules when they are first used."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from sys import modules as imported


def on_demand(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package. `modules` lists the names that each of its modules has."""
    module_of = {name: module for module, names in modules.items() for name in names}

    def find(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(package)
        found = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(home, name, found)
        return found

    return find, lambda: sorted({*vars(imported[package]), *module_of})
