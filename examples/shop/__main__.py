"""`python -m examples.shop [--for SECONDS]`: the demo, on an embedded server or on the one that ROTA_URL names."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from rota import RotaError
from rota.broker.embedded import Embedded

SERVER_DATA = Path(".rota/server")


def main() -> int:
    """Return the exit code: 0 only if everything that was asked for was really done."""
    parser = argparse.ArgumentParser(prog="examples.shop", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="end after this time")
    seconds = parser.parse_args().seconds
    try:
        if url := os.environ.get("ROTA_URL"):
            return _run(url, seconds, "the one that ROTA_URL names")
        with Embedded(SERVER_DATA) as server:
            return _run(server.url, seconds, f"an embedded Valkey with its data in {SERVER_DATA}")
    except RotaError as error:
        print(error, file=sys.stderr)
        return 1


def _run(url: str, seconds: float | None, server: str) -> int:
    # The shop's app reads its URL from the environment, as it does in the worker's processes.
    os.environ["ROTA_URL"] = url
    from examples.shop.demo import Demo

    return 0 if asyncio.run(Demo(seconds, server).run(url)) else 1


if __name__ == "__main__":
    sys.exit(main())
