"""A bounded number of type names, for counts by type.

Names of unknown types come from producers, and each may hold an ID. So the first `MOST_TYPES` keep their names for
good, and all others share one name: the labels of a metric stay few and do not come and go.
"""

MOST_TYPES = 50
OTHER_TYPES = "(other types)"


class TypeNames:
    """The names that are counted each for itself."""

    def __init__(self) -> None:
        self._names = {OTHER_TYPES}

    def name(self, type: str) -> str:
        """Return the name under which a type is counted."""
        if type not in self._names:
            if len(self._names) > MOST_TYPES:
                return OTHER_TYPES
            self._names.add(type)
        return type
