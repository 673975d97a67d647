"""The keys of uniqueness locks."""

from hashlib import md5, sha256

from rota.wire.keys import QueueKeys


def unique_key(keys: QueueKeys, type: str, payload: bytes | None) -> str:
    """Return the lock that Go takes for the same queue, type and payload.

    No payload (None) and an empty one are different locks, as in Go, although the stored messages are the same.
    """
    digest = "" if payload is None else md5(payload, usedforsecurity=False).hexdigest()
    return f"{keys.base}unique:{type}:{digest}"


def own_unique_key(keys: QueueKeys, type: str, key: str) -> str:
    """Return the lock for a key that the caller chose.

    It is digested because types contain colons: written out, type `a` with key `b:c` would be type `a:b` with key
    `c`. SHA-256, so that by its length it is never the lock of a payload.
    """
    return f"{keys.base}unique:{type}:{sha256(key.encode()).hexdigest()}"
