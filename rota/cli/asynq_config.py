"""Reads the file that `asynq --config` names: flags for the server under their long names, as YAML, JSON or TOML.

Asynq also looks for `.asynq.yaml` in the home folder. Rota does not, because a profile of its own says which server a
command uses.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from rota.core.text import unstopped
from rota.errors import ConfigError

_TEXTS = ("uri", "db", "password", "username", "cluster_addrs", "tls_server")
_SWITCHES = ("cluster", "tls", "insecure")


def read_config(name: str) -> dict[str, str]:
    """Return the flags that the file sets, by their long names. Raises ConfigError if it cannot be read."""
    from rota.core.canonical import is_mapping  # imports pydantic, which no other word of Asynq needs

    path = Path(name)
    try:
        values = _parsed(path.read_text(encoding="utf-8"), path.suffix)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): --config names the file of Asynq's tool."
        ) from None
    except ImportError:
        raise ConfigError(f"{path} is YAML, whose reader is not installed here: pip install 'rota[store]'") from None
    except Exception as error:
        raise ConfigError(f"{path} is not a file of Asynq's tool: {unstopped(error)}.") from None
    if not is_mapping(values):
        raise ConfigError(f"{path} is not a file of Asynq's tool: it has no names with values.")
    flags = {str(key).lower(): value for key, value in values.items()}
    found = {name: str(flags[name]) for name in _TEXTS if flags.get(name) not in (None, "")}
    return found | {name: "" for name in _SWITCHES if str(flags.get(name)).lower() in ("true", "1")}


def _parsed(text: str, suffix: str) -> object:
    if suffix == ".json":
        return json.loads(text)
    if suffix == ".toml":
        return tomllib.loads(text)
    from ruamel.yaml import YAML

    reader: Any = YAML(typ="safe", pure=True)
    return reader.load(text)
