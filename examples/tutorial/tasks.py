"""The app and its first tasks."""

from rota import Rota, Unique

app = Rota()


@app.task("email:welcome", timeout="30s")
async def welcome(user_id: int, locale: str = "en") -> str:
    return f"user {user_id} is welcome ({locale})"


@app.task("report:build", timeout="5m", retention="1h")
def build_report(account: int, month: str = "2026-01") -> str:
    return f"report of account {account} for {month}"


@app.task("search:index", unique=Unique("10m", scope="queued", key="doc-{document}"))
async def index(document: str) -> None:
    """While a run for a document is queued, a second run for the same document is not added."""
