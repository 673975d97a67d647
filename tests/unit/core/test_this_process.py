import os
import subprocess
import sys
from importlib.metadata import version

from rota.core.this_process import resident_bytes, rota_version


def test_the_version_is_that_of_the_installed_package():
    assert rota_version() == version("rota")


def test_memory_of_a_process_that_is_gone_is_not_known():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert resident_bytes(process.pid) is None


def test_memory_of_this_process_grows_with_what_it_holds():
    before = resident_bytes(os.getpid())
    held = os.urandom(50_000_000)
    after = resident_bytes(os.getpid())
    assert len(held) == 50_000_000
    if sys.platform == "linux":
        assert before is not None
        assert after is not None
        assert after > before + 30_000_000
