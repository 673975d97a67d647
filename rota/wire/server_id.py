"""The IDs of servers. To Asynq they are any text; ours carry a mark, by which Go servers are told from ours."""

import uuid

_MARK = "rota-"


def new_server_id() -> str:
    """Make the ID of a server that starts."""
    return f"{_MARK}{uuid.uuid4()}"


def is_own(server_id: str) -> bool:
    """Tell whether a server is one of ours."""
    return server_id.startswith(_MARK)
