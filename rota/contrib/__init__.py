"""Integrations with other libraries. Each needs an extra, such as `rota[otel]`, and is imported by its own name."""
