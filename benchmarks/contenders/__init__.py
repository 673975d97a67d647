"""One module for each Python task queue; each runs in the environment that has its dependencies."""
