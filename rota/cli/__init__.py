"""The command line: `rota worker`, `rota dev`, `rota enqueue`, `rota health`, `rota doctor` and more."""

import signal


def main() -> None:
    """Run the command line.

    The imports take up to two seconds on a busy machine. A Ctrl-C during the imports ends the process by the signal,
    instead of printing a traceback.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # a shell script may have told the process to ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rota.cli import program

    signal.signal(signal.SIGINT, handler)
    program.main()


__all__ = ["main"]
