"""Checks for actions on a whole queue: its name, whether it exists, and who acts."""

import getpass
import socket
from contextlib import suppress

from rota.client.packing import sendable, textual
from rota.client.steps import Act
from rota.inspect.queue_reads import check_queue, exists
from rota.tasks.options import Options
from rota.wire import pause as wire_pause
from rota.wire.keys import Keys, QueueKeys
from rota.wire.pause import Pauses


def queue_keys(keys: Keys, queue: str) -> QueueKeys:
    """Return the keys of a queue. Raises OptionError if no queue can have this name."""
    Options(queue=sendable("queue name", queue))
    return keys.queue(queue)


def check_exists(keys: Keys, queue: str) -> Act[None]:
    """Raise QueueNotFound unless the queue exists, or its deletion was broken off."""
    is_known = yield exists(keys, queue)
    if not is_known:
        paused: Pauses = yield wire_pause.look(keys.queue(queue))
        is_known = paused.producers is not None and paused.producers.kind == "delete"
    check_queue(queue, is_known)


def actor(by: str = "") -> str:
    """Return who acts: the given name, or the user of this program and the host."""
    if textual("by", by):
        return by
    user = "unknown"
    with suppress(OSError, KeyError, ImportError):  # a container may run a user without a name
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"
