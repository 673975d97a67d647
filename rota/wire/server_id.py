"""The IDs of servers. Asynq accepts any text; the IDs of Rota have a prefix that tells them from Go servers."""

import uuid

_MARK = "rota-"


def new_server_id() -> str:
    """Return a new ID for a server that starts."""
    return f"{_MARK}{uuid.uuid4()}"


def is_own(server_id: str) -> bool:
    """Whether a server is one of Rota."""
    return server_id.startswith(_MARK)
