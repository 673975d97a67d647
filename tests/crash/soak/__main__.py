"""The command line of a soak."""

# ruff: noqa: T201
import argparse
import random
import tempfile
from pathlib import Path

from tests.crash.scene import Scene
from tests.crash.soak.report import Report
from tests.crash.soak.soak import Soak
from tests.crash.soak.stages import STAGES


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak", description="Mix all faults at random under load, and check.")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--report", action="store_true", help="write the row into docs/reliability.md")
    parser.add_argument("--on", choices=list(STAGES), default="standalone")
    parser.add_argument("--go", action="store_true", help="let a Go server of Asynq share the queues")
    words = parser.parse_args()
    more = [f"--on {words.on}"] * (words.on != "standalone") + ["--go"] * words.go
    command = f"make soak MINUTES={words.minutes:g} SEED={words.seed}" + (f' ARGS="{" ".join(more)}"' if more else "")
    print(f"seed {words.seed}: {command}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="rota-soak-"))
    print(f"ledger and logs are in {folder}", flush=True)
    stage = STAGES[words.on]()
    scene = Scene(f"soak of {words.minutes:g} minutes, seed {words.seed}", folder, stage.store)
    soak = Soak(scene, words.seed, stage, go=words.go)
    try:
        verdict = soak.run(words.minutes)
    except BaseException:
        print(f"FAILED with seed {words.seed}: {command}; ledger and logs are in {folder}", flush=True)
        raise
    finally:
        scene.close()
        stage.close()
    report = Report(command, stage.name + ", with Go" * words.go, soak.faults, verdict)
    print(report.row())
    if words.report:
        report.write()


if __name__ == "__main__":
    main()
