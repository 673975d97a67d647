"""What the reference says about each option. `make check` compares the names with the code."""

OPTION_TEXTS = {
    "queue": "The queue; `default` if nothing is said.",
    "max_retry": "How often it is retried; 0 means never. Default: the `retry=` of the task, else 25. Only at a call.",
    "timeout": "How long one run may take: seconds, rounded up. Default: 30 minutes if there is no deadline.",
    "deadline": "The instant at which the task is given up, whatever retries are left. Only at a call.",
    "process_at": "The instant at which it runs. Only at a call.",
    "delay": "Run after this delay. Fractions of a second count.",
    "task_id": "An ID of your own; a second task with it is refused with `TaskIdConflict`. Only at a call.",
    "unique": "At most one task per key: a duration, or `Unique(ttl, scope=, key=, on_conflict=)`.",
    "retention": "How long task and result are kept after success, in whole seconds rounded up. `0` keeps nothing.",
    "group": "The group it is aggregated with.",
    "headers": "Texts that travel with the task; `Context.headers` reads them.",
    "debounce": "Calls with the same key become one: `Debounce(key, wait, max_wait)`, or `task.debounce(...)`.",
}

RETRY_TEXTS = {
    "max": "How often; 0 means never.",
    "only": "Error classes: nothing else is tried again.",
    "never": "Error classes that end the task at once; they win over `only`.",
    "backoff": "How the delays grow: `asynq` (its formula), `exponential` or `linear`.",
    "base": "The first delay of the last two; 10 s if nothing is said.",
    "cap": "The longest delay.",
    "jitter": "The share of a delay, 0 to 1, that is added at random.",
    "delay": "Instead of a backoff: one length for every retry, or a function of the retries so far and the error.",
    "is_failure": "A function of the error; where it returns false the task is tried again without counting.",
}

UNIQUE_TEXTS = {
    "ttl": "How long the lock lives at most, counted from when the task is due. Only the scope `ttl` needs it.",
    "scope": "`ttl` (Asynq's: until success or the ttl), `queued` (until it is taken) or `running` (until its end).",
    "key": "What makes two tasks the same; queue, type and payload if nothing is said.",
    "on_conflict": "`return` the task that is there, `raise` DuplicateTask, or `replace` it if it still waits.",
}

DEBOUNCE_TEXTS = {
    "key": "Which calls are one.",
    "wait": "How long after the last call the task runs.",
    "max_wait": "How long after the first call at the latest.",
}

TASK_TEXTS = {
    "run": "Where it runs: `loop` (so an `async def`), `thread` (so a `def`) or `process`, which can be killed.",
    "retry": "A `Retry(...)`, or only the number of retries.",
    "concurrency": "How many of this type run at once in one worker process.",
    "on_success": "Called after a success with the context and the result.",
    "on_failure": "Called after a failure that is tried again, with the context and the error.",
    "on_exhausted": "Called when the task failed for good, with the context and the error.",
    "lint": "Whether the name is checked: `False` lets a name through that others chose.",
    "result": "The type of the result, where the function's annotation does not say it.",
}
