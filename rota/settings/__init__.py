"""All settings, the source of each value, and the formats of queues and ranges."""
