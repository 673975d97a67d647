"""All settings, where each was found, and the forms of queues and ranges in them."""
