"""Asynq's wire format: keys, messages and Lua scripts as plain values. This package does no I/O to a server."""
