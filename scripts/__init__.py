"""The project's own tools, run as `python -m scripts.<name>`."""
