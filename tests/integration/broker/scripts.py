"""A few small scripts that the tests of the broker run."""

import hashlib
from collections.abc import Callable
from itertools import count
from typing import Any

from rota.broker import Broker
from rota.errors import BrokerUnavailable
from rota.wire.script import Argument, Call, Script

_numbers = count(1)


def script(source: str) -> Script:
    text = source.encode()
    return Script("test", text, hashlib.sha1(text).hexdigest())


def unseen(source: str) -> Script:
    """A script that no server holds yet."""
    return script(f"{source} -- {next(_numbers)} {id(_numbers)}")


PUSH = script("return redis.call('RPUSH', KEYS[1], unpack(ARGV))")
READ = script("return redis.call('LRANGE', KEYS[1], 0, -1)")


def call(what: Script, key: str, *args: Argument, decode: Callable[[Any], Any] = lambda reply: reply) -> Call[Any]:
    return Call(what, [key], args, decode)


async def written(broker: Broker, name: str) -> bool:
    """Push once. False where it may or may not have been done: all else the broker must repeat by itself."""
    try:
        await broker.run(call(PUSH, name, "after"))
    except BrokerUnavailable as error:
        if not error.maybe_applied:
            raise
        return False
    return True
