"""The health of workers, and how to query it: an HTTP port, a socket for `rota health`, and metrics."""
