"""A second limit for each test, which holds where pytest-timeout's cannot.

pytest-timeout raises an error in the main thread by a signal handler, so it needs an interpreter that still runs Python
code; it also lets go of a test that failed, which then has no limit while it is torn down. Here a thread of
faulthandler, written in C, waits `AFTER_SECONDS` longer than that. Then it prints the stacks of all threads and ends
its process at once. Where several processes run tests (`make test`), the others go on, a new process takes over and the
test has failed. What it has started is ended by scripts/watchdog.py.
"""

import faulthandler
import os
from collections.abc import Generator

import pytest
from pytest_timeout import Settings

AFTER_SECONDS = 60

_limits = pytest.StashKey[Settings]()
_errors = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    # While tests run, descriptor 2 is pytest's file of captured output.
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        config.stash[_errors] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[_errors])


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> Generator[None, object, object]:
    item.stash[_limits] = settings
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _arm(item)


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item) -> None:
    _arm(node)  # pytest's own faulthandler plugin has just cancelled it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _arm(item: pytest.Item) -> None:
    limits = item.stash.get(_limits, None)
    if limits is not None and not item.config.getoption("usepdb"):
        errors = item.config.stash[_errors]
        faulthandler.dump_traceback_later(limits.timeout + AFTER_SECONDS, exit=True, file=errors)
