"""Asynq's wire: keys, messages and Lua scripts as pure values. Nothing here opens a socket."""
