"""Forgets the modules of a test's folder, because the next test has modules of the same names in another folder."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest


@contextmanager
def own_modules(folder: Path) -> Iterator[None]:
    """Forget what is imported from a folder meanwhile, with its packages, and what is added to `sys.path`."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        try:
            yield
        finally:
            # First all, because the path of a package in a package is not known any more without the outer one.
            for name in [name for name in set(sys.modules) - known if _is_in(folder, sys.modules[name])]:
                del sys.modules[name]


def _is_in(folder: Path, module: ModuleType) -> bool:
    paths = vars(module).get("__file__"), *vars(module).get("__path__", ())
    return any(Path(path).is_relative_to(folder) for path in paths if path)
