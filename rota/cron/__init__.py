"""The scheduler in one process, without a broker: `Cron`, and what its entries are made of."""

from typing import TYPE_CHECKING

from rota.core.on_demand import on_demand

if TYPE_CHECKING:
    from rota.cron.cron_clock import CronClock, SystemClock
    from rota.cron.live_entry import CronEntry
    from rota.cron.local_cron import Cron
    from rota.cron.spec_builder import Every, every
    from rota.cron.wrappers import delay_if_running, recover, skip_if_running

__all__ = [
    "Cron",
    "CronClock",
    "CronEntry",
    "Every",
    "SystemClock",
    "delay_if_running",
    "every",
    "recover",
    "skip_if_running",
]

_MODULES = {
    "cron_clock": ("CronClock", "SystemClock"),
    "live_entry": ("CronEntry",),
    "local_cron": ("Cron",),
    "spec_builder": ("Every", "every"),
    "wrappers": ("delay_if_running", "recover", "skip_if_running"),
}

if not TYPE_CHECKING:  # a checker would take any name for one of ours
    __getattr__, __dir__ = on_demand(__name__, _MODULES)
