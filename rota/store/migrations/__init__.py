"""The revisions of the tables, each a step from the one before. A revision that has been released is never changed."""

from typing import Final

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All revisions that this version of Rota knows, the newest last."""
