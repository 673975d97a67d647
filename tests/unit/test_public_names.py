"""What programs import from `rota`."""

import inspect

import rota
from rota import errors


def test_the_list_of_names_is_sorted_and_whole() -> None:
    public = {name for name, thing in vars(rota).items() if not name.startswith("_") and not inspect.ismodule(thing)}

    assert set(rota.__all__) == public
    assert rota.__all__ == sorted(rota.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))


def test_every_error_can_be_imported_from_rota() -> None:
    kinds = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}

    assert kinds - set(rota.__all__) == set()


def test_every_name_says_what_it_is() -> None:
    assert [name for name in rota.__all__ if not inspect.getdoc(getattr(rota, name))] == []
