"""What the reference says about each option. `make check` compares the names with the code."""

OPTION_TEXTS = {
    "queue": "The queue. Default: `default`.",
    "max_retry": "How often it is retried; 0 means never. Default: the `retry=` of the task, else 25. Only at a call.",
    "timeout": "How long one run may take: seconds, rounded up. Default: 30 minutes if there is no deadline.",
    "deadline": "The instant at which the task is given up, whatever retries are left. Only at a call.",
    "process_at": "The instant at which it runs. Only at a call.",
    "delay": "Run after this delay. Fractions of a second count.",
    "task_id": "An ID of your own. A second task with this ID is refused with `TaskIdConflict`. Only at a call.",
    "unique": "At most one task per key: a duration, or `Unique(ttl, scope=, key=, on_conflict=)`.",
    "retention": "How long the task and its result are kept after success: seconds, rounded up. Default: not kept.",
    "group": "The group with which the task is aggregated.",
    "headers": "Texts that travel with the task; `Context.headers` reads them.",
    "debounce": "Calls with the same key become one: `Debounce(key, wait, max_wait)`, or `task.debounce(...)`.",
}

RETRY_TEXTS = {
    "max": "The number of retries; 0 means none.",
    "only": "Error classes: other errors are not retried.",
    "never": "Error classes that are not retried. They win over `only`.",
    "backoff": "How the delays grow: `asynq` (its formula), `exponential` or `linear`.",
    "base": "The first delay of `exponential` and `linear`. Default: 10 s.",
    "cap": "The longest delay.",
    "jitter": "The share of a delay, from 0 to 1, that is added at random.",
    "delay": "Instead of a backoff: a fixed delay, or a function of the number of retries so far and the error.",
    "is_failure": "A function of the error. If it returns false, the task is retried without using up a retry.",
}

UNIQUE_TEXTS = {
    "ttl": "How long the lock lives at most, counted from when the task is due. Only the scope `ttl` needs it.",
    "scope": "`ttl` (Asynq's: until success or the ttl), `queued` (until it is taken) or `running` (until its end).",
    "key": "What makes two tasks the same. Default: queue, type and payload.",
    "on_conflict": "`return` the existing task, `raise` DuplicateTask, or `replace` the task if it still waits.",
}

DEBOUNCE_TEXTS = {
    "key": "Calls with the same key become one.",
    "wait": "The time from the last call to the run.",
    "max_wait": "The longest time from the first call to the run.",
}

TASK_TEXTS = {
    "run": "Where it runs: `loop` (default of `async def`), `thread` (of `def`), or `process`, which can be killed.",
    "retry": "A `Retry(...)`, or only the number of retries.",
    "concurrency": "How many of this type run at once in one worker process.",
    "on_success": "Called after a success with the context and the result.",
    "on_failure": "Called after a failure that is retried, with the context and the error.",
    "on_exhausted": "Called when the task has failed for good, with the context and the error.",
    "lint": "Whether the name is checked. `False` allows a name that other programs have chosen.",
    "result": "The type of the result, if the function has no return annotation for it.",
}
