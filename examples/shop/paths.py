"""Where the shop keeps its things. Worker and demo learn it from the environment, so that they agree."""

import os
from pathlib import Path

DATA = Path(__file__).parent / "data"
SALES = DATA / "sales.csv"
IMAGES = sorted((DATA / "images").iterdir())
HOME = Path(os.environ.get("SHOP_HOME", ".rota/demo")).absolute()
DATABASE = HOME / "shop.sqlite3"
RESULTS = HOME / "results"
JOURNAL = HOME / "journal.jsonl"
WORKER_LOG = HOME / "worker.log"
JOBS_LOG = HOME / "jobs.log"
MAIL_FOLDER = RESULTS / "mail"
DIARY = RESULTS / "heartbeat.csv"


def mail_server() -> str:
    """Return `host:port` of the SMTP server, as it is now."""
    return os.environ.get("SHOP_SMTP", "127.0.0.1:1025")
