"""The route of blocking code on a Cluster, at moments that a real one meets by chance only."""

import os
import signal
import threading
from typing import Any

from rota.broker.script_cache import Words
from rota.broker.sync_route import SyncClusterRoute
from rota.broker.url import Endpoint, parse


def test_a_forked_child_reads_the_map_although_a_thread_that_was_left_behind_was_reading_it() -> None:
    asked, go_on, parent = threading.Event(), threading.Event(), os.getpid()

    async def ask(node: Endpoint, words: Words) -> Any:
        if os.getpid() == parent:
            asked.set()
            go_on.wait(30)  # such as a node that hangs
        return [[0, 16383, [b"10.0.0.1", 7000]]]

    route = SyncClusterRoute(parse("redis+cluster://127.0.0.1:7000"), ask)
    reader = threading.Thread(target=route.masters)
    reader.start()
    assert asked.wait(30)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        os._exit(0 if route.masters() == (Endpoint("10.0.0.1", 7000),) else 1)
    status = os.waitpid(child, 0)[1]
    go_on.set()
    reader.join()
    assert status == 0
