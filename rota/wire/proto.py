"""Asynq's protobuf messages, as classes.

The classes are built at import from `asynq.binpb` (made from `asynq.proto` by `make proto`), because generated code
would tie users to the protobuf release that generated it. The pool is private, so that an application can load its own
compiled copy of Asynq's proto file in the same process.
"""

from importlib.resources import files

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(files(__package__).joinpath("asynq.binpb").read_bytes()).file:
    _pool.Add(_file)  # type: ignore[no-untyped-call]


def _message(name):  # type: ignore[no-untyped-def]
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"asynq.{name}"))  # type: ignore[no-untyped-call]


TaskMessage = _message("TaskMessage")  # type: ignore[no-untyped-call]
ServerInfo = _message("ServerInfo")  # type: ignore[no-untyped-call]
WorkerInfo = _message("WorkerInfo")  # type: ignore[no-untyped-call]
SchedulerEntry = _message("SchedulerEntry")  # type: ignore[no-untyped-call]
SchedulerEnqueueEvent = _message("SchedulerEnqueueEvent")  # type: ignore[no-untyped-call]
