"""How the tasks of a group become one task."""
