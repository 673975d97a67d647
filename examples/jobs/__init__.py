"""Ready-made jobs: `rota worker examples.jobs:app` runs them. docs/jobs.md describes them and their settings."""

from examples.jobs.app import app

__all__ = ["app"]
