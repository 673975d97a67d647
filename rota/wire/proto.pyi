import datetime
from collections.abc import Iterable as _Iterable
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar

from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers

DESCRIPTOR: _descriptor.FileDescriptor

class TaskMessage(_message.Message):
    __slots__ = ("completed_at", "deadline", "error_msg", "group_key", "headers", "id", "last_failed_at", "payload", "queue", "retention", "retried", "retry", "timeout", "type", "unique_key")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: str | None = ..., value: str | None = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    ERROR_MSG_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_KEY_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILED_AT_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    GROUP_KEY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    type: str
    payload: bytes
    id: str
    queue: str
    retry: int
    retried: int
    error_msg: str
    timeout: int
    deadline: int
    unique_key: str
    last_failed_at: int
    retention: int
    completed_at: int
    group_key: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, type: str | None = ..., payload: bytes | None = ..., id: str | None = ..., queue: str | None = ..., retry: int | None = ..., retried: int | None = ..., error_msg: str | None = ..., timeout: int | None = ..., deadline: int | None = ..., unique_key: str | None = ..., last_failed_at: int | None = ..., retention: int | None = ..., completed_at: int | None = ..., group_key: str | None = ..., headers: _Mapping[str, str] | None = ...) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("active_worker_count", "concurrency", "host", "pid", "queues", "server_id", "start_time", "status", "strict_priority")
    class QueuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: str | None = ..., value: int | None = ...) -> None: ...
    HOST_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SERVER_ID_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    STRICT_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_WORKER_COUNT_FIELD_NUMBER: _ClassVar[int]
    host: str
    pid: int
    server_id: str
    concurrency: int
    queues: _containers.ScalarMap[str, int]
    strict_priority: bool
    status: str
    start_time: _timestamp_pb2.Timestamp
    active_worker_count: int
    def __init__(self, host: str | None = ..., pid: int | None = ..., server_id: str | None = ..., concurrency: int | None = ..., queues: _Mapping[str, int] | None = ..., strict_priority: bool | None = ..., status: str | None = ..., start_time: datetime.datetime | _timestamp_pb2.Timestamp | _Mapping | None = ..., active_worker_count: int | None = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("deadline", "host", "pid", "queue", "server_id", "start_time", "task_id", "task_payload", "task_type")
    HOST_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SERVER_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    host: str
    pid: int
    server_id: str
    task_id: str
    task_type: str
    task_payload: bytes
    queue: str
    start_time: _timestamp_pb2.Timestamp
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, host: str | None = ..., pid: int | None = ..., server_id: str | None = ..., task_id: str | None = ..., task_type: str | None = ..., task_payload: bytes | None = ..., queue: str | None = ..., start_time: datetime.datetime | _timestamp_pb2.Timestamp | _Mapping | None = ..., deadline: datetime.datetime | _timestamp_pb2.Timestamp | _Mapping | None = ...) -> None: ...

class SchedulerEntry(_message.Message):
    __slots__ = ("enqueue_options", "id", "next_enqueue_time", "prev_enqueue_time", "spec", "task_payload", "task_type")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ENQUEUE_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ENQUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    PREV_ENQUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: str
    task_type: str
    task_payload: bytes
    enqueue_options: _containers.RepeatedScalarFieldContainer[str]
    next_enqueue_time: _timestamp_pb2.Timestamp
    prev_enqueue_time: _timestamp_pb2.Timestamp
    def __init__(self, id: str | None = ..., spec: str | None = ..., task_type: str | None = ..., task_payload: bytes | None = ..., enqueue_options: _Iterable[str] | None = ..., next_enqueue_time: datetime.datetime | _timestamp_pb2.Timestamp | _Mapping | None = ..., prev_enqueue_time: datetime.datetime | _timestamp_pb2.Timestamp | _Mapping | None = ...) -> None: ...

class SchedulerEnqueueEvent(_message.Message):
    __slots__ = ("enqueue_time", "task_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ENQUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    enqueue_time: _timestamp_pb2.Timestamp
    def __init__(self, task_id: str | None = ..., enqueue_time: datetime.datetime | _timestamp_pb2.Timestamp | _Mapping | None = ...) -> None: ...
