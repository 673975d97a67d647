"""Accepts the words of Asynq's command line: `rota task ls -q mail -s retry` is `rota task list -q mail -s retry`.

Hands that know Asynq's tool go on typing its words, and scripts that call it need a new name only. The tables below say
which words of `asynq` have another spelling here; `docs/asynq-cli.md` shows them, and says what has none. A word is
replaced only where the command itself has no such word, so a command of Rota is never read as one of Asynq.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from rota.cli.asynq_config import read_config
from rota.errors import ConfigError

COMMANDS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("queue", "ls"): ("queue", "list"),
    ("queue", "unpause"): ("queue", "resume"),
    ("queue", "remove"): ("queue", "delete"),
    ("queue", "rm"): ("queue", "delete"),
    ("task", "ls"): ("task", "list"),
    ("task", "remove"): ("task", "delete"),
    ("task", "rm"): ("task", "delete"),
    ("task", "archiveall"): ("task", "archive", "--all"),
    ("task", "deleteall"): ("task", "delete", "--all"),
    ("task", "runall"): ("task", "run", "--all"),
    ("server", "list"): ("worker", "list"),
    ("server", "ls"): ("worker", "list"),
    ("group", "ls"): ("group", "list"),
    ("cron", "ls"): ("cron", "list"),
    ("dash",): ("stats", "--watch"),
}
"""The commands of Asynq that have another name here."""

ARGUMENT = ""
"""Stands for a flag whose value is an argument here."""
FLAGS: Mapping[tuple[str, ...], Mapping[str, str]] = {
    ("task", "inspect"): {"-i": ARGUMENT, "--id": ARGUMENT},
    ("task", "archive"): {"-i": ARGUMENT, "--id": ARGUMENT},
    ("task", "delete"): {"-i": ARGUMENT, "--id": ARGUMENT},
    ("task", "run"): {"-i": ARGUMENT, "--id": ARGUMENT},
    ("task", "enqueue"): {
        "-t": ARGUMENT,
        "--type_name": ARGUMENT,
        "-l": ARGUMENT,
        "--payload": ARGUMENT,
        "--retry": "--max-retry",
        "--id": "--task-id",
        "--process_at": "--at",
        "--process_in": "--delay",
    },
    ("queue", "history"): {"-x": "--days"},
    ("stats",): {"--refresh": "--interval"},
}
"""The flags of Asynq that have another name here."""

CONFIG = "config"
SERVER: Mapping[str, str] = {
    "-u": "uri",
    "--uri": "uri",
    "-n": "db",
    "--db": "db",
    "-p": "password",
    "--password": "password",
    "-U": "username",
    "--username": "username",
    "--cluster_addrs": "cluster_addrs",
    "--tls_server": "tls_server",
    "--config": CONFIG,
}
"""The flags for Asynq's server, which one URL replaces."""
SWITCHES: Mapping[str, str] = {"--cluster": "cluster", "--tls": "tls", "--insecure": "insecure"}
Declared = Callable[[Sequence[str]], Collection[str] | None]
"""Returns the flags of the command with these words; None if there is none."""
_GROUPS = {path[0] for path in (*COMMANDS, *FLAGS)}


class Meant(NamedTuple):
    """A command line without words of Asynq, and the environment variables that stand for some of them."""

    words: list[str]
    variables: Mapping[str, str] = {}


def rota_words(words: Sequence[str], declared: Declared) -> Meant:
    """Return a command line with the words of Asynq replaced."""
    named = _named_first(words)
    if not named or named[0] not in _GROUPS:
        return Meant(list(words))
    path, rest = _command(named, declared)
    own = declared(path) or ()
    renamed = {flag: new for flag, new in FLAGS.get(path[:2], FLAGS.get(path[:1], {})).items() if flag not in own}
    server: dict[str, str] = {}
    arguments: dict[str, str] = {}
    kept: list[str] = []
    stream = iter(rest)
    for word in stream:
        flag, separator, value = word.partition("=")
        if flag in own:
            kept.append(word)
        elif flag in SWITCHES:
            if value.lower() not in ("false", "f", "0"):
                server[SWITCHES[flag]] = value
        elif flag in SERVER:
            server[SERVER[flag]] = value if separator else _value(stream, flag)
        elif renamed.get(flag) == ARGUMENT:
            arguments[flag.lstrip("-")[0]] = value if separator else _value(stream, flag)
        elif flag in renamed:
            kept += [renamed[flag], *([value] if separator else [])]
        else:
            kept.append(word)
    ordered = [arguments[name] for name in _ORDER if name in arguments]
    if (file := server.pop(CONFIG, None)) is not None:
        server = {**read_config(file), **server}
    url = ["--url", _url(server)] if server.keys() - {"insecure"} else []
    return Meant([*path, *ordered, *kept, *url], _variables(server))


_ORDER = ("t", "p", "l", "i")
"""The first letters of the flags that are arguments here: the type comes before the payload."""


def _named_first(words: Sequence[str]) -> list[str]:
    """Put the flags for Asynq's server that stand before the name of a command, or inside it, behind the words."""
    named, flags = list(words), list[str]()
    for index in (0, 1):
        while len(named) > index and (word := named[index].partition("="))[0] in (*SERVER, *SWITCHES):
            number = 1 if word[1] or word[0] in SWITCHES else 2
            flags += named[index : index + number]
            del named[index : index + number]
    return [*named, *flags]


def _command(words: Sequence[str], declared: Declared) -> tuple[tuple[str, ...], Sequence[str]]:
    """Split the words behind the name of the command, which gets its name here."""
    for number in (2, 1):
        path = tuple(words[:number])
        if declared(path) is not None:
            return path, words[number:]
        if path in COMMANDS:
            return COMMANDS[path], words[number:]
    return tuple(words[:1]), words[1:]


def _value(stream: Iterator[str], flag: str) -> str:
    value = next(stream, None)
    if value is None:
        raise ConfigError(f"{flag} needs a value.")
    return value


def _variables(server: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for what no URL says about TLS."""
    found = {"ROTA_TLS_VERIFY": "false"} if "insecure" in server else {}
    return found | ({"ROTA_TLS_SERVER_NAME": server["tls_server"]} if "tls_server" in server else {})


def _url(server: Mapping[str, str]) -> str:
    """Return the URL for the flags of Asynq's server."""
    user, password = quote(server.get("username", ""), safe=""), quote(server.get("password", ""), safe="")
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    scheme = "rediss" if server.keys() & {"tls", "tls_server"} else "redis"
    if "cluster" in server:
        return f"{scheme}+cluster://{login}{server.get('cluster_addrs', '127.0.0.1:7000')}"
    return f"{scheme}://{login}{server.get('uri', '127.0.0.1:6379')}/{server.get('db', '0')}"
