"""A cron in a program of its own, which is asked to end by a signal."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from rota import Cron

cron = Cron()

@cron.every("1s")
def work():
    print("working", flush=True)
    {work}
    print("done", flush=True)

cron.run()
print("stopped", flush=True)
"""


def started(work: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_cron_after_its_runs(sent: signal.Signals) -> None:
    process = started("sys.stdin.readline()")
    process.send_signal(sent)

    output, _ = process.communicate("go on\n", timeout=30)

    assert output == "done\nstopped\n"
    assert process.returncode == 0


def test_a_second_signal_does_not_wait_for_a_thread() -> None:
    process = started("while True: time.sleep(60)")
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)

    assert process.stdout.readline() == "stopped\n"
    assert process.wait(30) == 0
    process.communicate()
