"""`rota shell`: Python with the app, a client and the read model at hand, for a look at what no command shows.

The console reads in a thread of its own, and what is typed runs in the event loop of the main thread. So `await` works
in each line, and connections stay open between two lines. Ctrl-C ends the line that runs, and not the shell.
"""

import ast
import asyncio
import code
import concurrent.futures
import contextlib
import inspect
import signal
import sys
import threading
import traceback
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Annotated, Any

import typer

from rota.app import Rota
from rota.cli.language import translated
from rota.cli.opened_app import app_of
from rota.cli.option_types import Url
from rota.cli.target import Discover, Modules, target_of


class Console(code.InteractiveConsole):
    """A console whose lines run in an event loop."""

    def __init__(self, names: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._names = names
        self._loop = loop
        self._task: asyncio.Task[Any] | None = None
        self._calling = False
        self._reads = False
        self._is_dropped = False

    def raw_input(self, prompt: str = "") -> str:
        """Read a line. Raises KeyboardInterrupt if Ctrl-C has dropped what was being typed."""
        self._reads = True
        try:
            line = super().raw_input(prompt)
        finally:
            self._reads = False
        if self._is_dropped:
            self._is_dropped = False
            raise KeyboardInterrupt
        return line

    def runcode(self, code: CodeType) -> None:
        """Run one line in the loop, and wait for its end. An error of the line is printed, as Python does."""
        done = concurrent.futures.Future[None]()
        self._loop.call_soon_threadsafe(self._start, code, done)
        try:
            done.result()
        except SystemExit:
            raise
        except BaseException as error:  # whatever a line raises, the shell goes on
            self.write("".join(traceback.format_exception(error.with_traceback(_typed(error)))))

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """End the line that runs, for Ctrl-C. Input that is being typed is dropped with the next Enter.

        The thread that reads it cannot be interrupted.
        """
        if self._reads:
            self._is_dropped = True
            self.write(translated("Enter drops this input.") + "\n")
            return
        if self._calling:
            raise KeyboardInterrupt
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _start(self, code: CodeType, done: "concurrent.futures.Future[None]") -> None:
        """Call the line. One with `await` returns a coroutine, which runs as a task."""
        try:
            self._calling = True
            result = FunctionType(code, self._names)()
        except BaseException as error:
            done.set_exception(error)
            return
        finally:
            self._calling = False
        if inspect.iscoroutine(result):
            self._task = self._loop.create_task(result)
            self._task.add_done_callback(lambda ended: self._hand_over(ended, done))
        else:
            done.set_result(None)

    def _hand_over(self, ended: "asyncio.Task[Any]", done: "concurrent.futures.Future[None]") -> None:
        self._task = None
        if ended.cancelled():
            done.set_exception(KeyboardInterrupt())
        elif (error := ended.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(None)


def command(
    app: Annotated[str | None, typer.Argument(help="module:app. Default: the setting `app`, or an empty app.")] = None,
    modules: Modules = None,
    discover: Discover = None,
    url: Url = None,
) -> None:
    """Open Python with `app`, `client` and `inspector` ready, where `await` works in each line."""
    asyncio.run(_run(app_of(url, target_of(app, modules, discover))))


async def _run(app: Rota) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    names = names_for(app)
    console = Console(names, loop)
    banner = _banner() if sys.stdin.isatty() else ""

    def interact() -> None:
        with contextlib.suppress(SystemExit):
            console.interact(banner=banner, exitmsg="")
        loop.call_soon_threadsafe(ended.set)

    _complete_names(names)
    before = signal.signal(signal.SIGINT, console.interrupt)
    threading.Thread(target=interact, name="rota shell", daemon=True).start()
    try:
        await ended.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        await app.aclose()


def names_for(app: Rota) -> dict[str, Any]:
    """Return the names that the console knows at its start."""
    import rota

    public = {name: getattr(rota, name) for name in rota.__all__}
    return {**public, "rota": rota, "asyncio": asyncio, "app": app, "client": app.client, "inspector": app.inspector()}


def _banner() -> str:
    ready = "Ready: app, client, inspector, and all names of rota. Try: await inspector.queues()"
    return f"Python {sys.version.split()[0]}\n{translated(ready)} {translated('Ctrl-D ends the shell.')}"


def _typed(error: BaseException) -> TracebackType | None:
    """Return the frames of an error from the typed line on. Those before are of this shell."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != "<console>":
        frame = frame.tb_next
    return frame


def _complete_names(names: dict[str, Any]) -> None:
    """Let Tab complete names, where Python has readline."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
