"""The parts that make a function a task: options, signature, payload, dependencies, middleware, handler, context."""
