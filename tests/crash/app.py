"""The app that worker processes of the scenarios run: `rota worker tests.crash.app:app`."""

import os
from pathlib import Path

from rota.app import Rota
from tests.crash.handlers import register
from tests.crash.ledger import FOLDER, Ledger

app = Rota()
register(app, Ledger(Path(os.environ[FOLDER])).writer("runs"))
