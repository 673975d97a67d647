"""The database of schedules and their runs: SQLite, PostgreSQL, MariaDB or MySQL.

Needs `rota[store]`, and `rota[postgres]` or `rota[mysql]` for these servers. Nothing else of Rota loads this package.
"""

import importlib.util
from typing import TYPE_CHECKING

from rota.core.on_demand import on_demand
from rota.errors import ConfigError

if TYPE_CHECKING:
    from rota.store.address import DEFAULT_STORE
    from rota.store.bounded_trash import open_trash
    from rota.store.store import Store, open_store
else:
    if missing := [name for name in ("sqlalchemy", "alembic", "greenlet") if importlib.util.find_spec(name) is None]:
        raise ConfigError(f"A store needs {', '.join(missing)}, not installed here: pip install 'rota[store]'")
    __getattr__, __dir__ = on_demand(
        __name__, {"address": ("DEFAULT_STORE",), "store": ("Store", "open_store"), "bounded_trash": ("open_trash",)}
    )

__all__ = ["DEFAULT_STORE", "Store", "open_store", "open_trash"]
