"""Helpers that depend on neither tasks nor servers: durations, texts, threads, forks."""
