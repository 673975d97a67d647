"""Asynq's own style: raw bytes, one handler for a family of types. Go clients need to change nothing."""

import json

from rota import Context, Rota

app = Rota()
seen: list[str] = []


@app.handler("email:")  # takes email:welcome and email:welcome:sv, not emails:send
async def any_mail(context: Context, payload: bytes) -> None:
    seen.append(f"{context.type} to {json.loads(payload)['user_id']}")
