"""What programs import from `rota`."""

import inspect
from importlib import import_module

import pytest

import rota
from rota import errors


def test_the_list_of_names_is_sorted_and_whole() -> None:
    # Those that come when they are first used, those of the errors, and no module.
    public = {name for name in dir(rota) if not name.startswith("_") and not inspect.ismodule(getattr(rota, name))}
    machinery = {"TYPE_CHECKING", "on_demand"}

    assert set(rota.__all__) == public - machinery
    assert {name for names in rota._MODULES.values() for name in names} <= set(rota.__all__)
    assert rota.__all__ == sorted(rota.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))


@pytest.mark.parametrize("name", ["broker", "client", "cron", "inspect", "store"])
def test_each_name_that_a_package_lists_can_be_imported(name: str) -> None:
    package = import_module(f"rota.{name}")
    missing = [each for each in package.__all__ if not hasattr(package, each)]

    assert not missing, f"Name these in the table of `on_demand` in rota/{name}/__init__.py: {missing}"


def test_every_error_can_be_imported_from_rota() -> None:
    kinds = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}

    assert kinds - set(rota.__all__) == set()


def test_every_name_says_what_it_is() -> None:
    assert [name for name in rota.__all__ if not inspect.getdoc(getattr(rota, name))] == []
