"""Asks a server all the time, by the URL of the workers, and writes down when it was away, as their excuse."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from tests.crash.ledger import Writer
from tests.servers import clients

EVERY_SECONDS = 0.1
ANSWER_SECONDS = 1.0
HELD_UP_SECONDS = 0.2
"""A machine that lets this thread wait for longer holds up the workers as well."""
WRITE = "redis.call('SET', KEYS[1], 1) return redis.call('DEL', KEYS[1])"


class Probe:
    """Writes `away` and `back` lines for one URL, until it is closed. `queues` are those that the workers serve."""

    def __init__(self, url: str, queues: Callable[[], Iterable[str]], note: Writer) -> None:
        self._url = url
        self._queues = queues
        self._note = note
        self._away = False
        self._client: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop asking."""
        self._ended.set()
        self._thread.join(10)
        self._disconnect()

    def _run(self) -> None:
        asked_at = time.monotonic()
        while not self._ended.wait(EVERY_SECONDS):
            now = time.monotonic()
            if now - asked_at > EVERY_SECONDS + HELD_UP_SECONDS:
                self._say(True, silent=False, at=asked_at)
            error = self._ask()
            if error is not None and not isinstance(error, redis.TimeoutError):
                error = self._ask()  # the first may only say that the connection was closed
            self._say(error is not None, silent=isinstance(error, redis.TimeoutError), at=now)
            if error is not None:
                self._disconnect()
            asked_at = time.monotonic()

    def _ask(self) -> Exception | None:
        try:
            if self._client is None:
                timeouts = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
                # By itself the library asks again for seconds, and then says nothing of an outage that is over.
                self._client = clients.as_told(self._url, retry=Retry(NoBackoff(), 0), **timeouts)
            for queue in self._queues():
                self._client.eval(WRITE, 1, f"asynq:{{{queue}}}:probe")
        except (redis.RedisError, OSError) as error:
            return error
        except RedisClusterException as error:  # no node answers; it is no RedisError
            return redis.TimeoutError(str(error))
        return None

    def _say(self, away: bool, *, silent: bool, at: float) -> None:
        if away and not self._away:
            self._note("away", url=self._url, silent=silent, at=at)
        elif not away and self._away:
            self._note("back", url=self._url)
        self._away = away

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                client.close()
