"""A function that a child process imports: it reports progress and log lines until it returns."""

from rota.tasks.context import Context


def speak(context: Context) -> None:
    for number in range(10):
        context.progress(number, 9)
        context.log(f"line {number}")
