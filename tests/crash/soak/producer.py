"""A producer of a soak: `python -m tests.crash.soak.producer <url> <ledger> <count> <pause in seconds> <seed>`."""

import random
import sys
import time
from contextlib import redirect_stderr
from itertools import islice
from pathlib import Path

from rota.app import Rota
from rota.errors import RotaError
from tests.crash.ledger import Ledger, Writer
from tests.crash.producer import MOST_IN_A_BURST, accept, insist
from tests.crash.soak.cargo import Parcel, cargo


def main(url: str, folder: str, count: str, pause: str, seed: str) -> None:
    """Send bursts, and change the mind about some tasks of the burst before."""
    app = Rota(url, settings={"response_timeout": "2s", "connect_timeout": "2s"})
    note = Ledger(Path(folder)).writer("accepted")
    chance = random.Random(seed)
    parcels = islice(cargo(app, f"p{seed}", chance), int(count))
    before: list[Parcel] = []
    while burst := list(islice(parcels, chance.randint(1, MOST_IN_A_BURST))):
        for parcel in burst:
            if parcel.lock:
                note("locked", task=parcel.id, key=parcel.lock)
        chance.choice((accept, insist))(app, note, [parcel.plan for parcel in burst])
        for parcel in before:
            if parcel.whim:
                change_mind(app, note, parcel)
        before = burst
        time.sleep(float(pause))


def change_mind(app: Rota, note: Writer, parcel: Parcel) -> None:
    """Cancel or delete a task. That may come too late, or not arrive."""
    note("removed", task=parcel.id)
    act = app.sync_client.cancel if parcel.whim == "cancel" else app.sync_client.delete
    try:
        act(parcel.queue, parcel.id)
    except RotaError as error:
        print(f"{parcel.whim} of {parcel.id}: {error}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    with Path(sys.argv[2], f"producer-{sys.argv[5]}.txt").open("w") as log, redirect_stderr(log):
        main(*sys.argv[1:])
