"""The shop's web site: it is down at some checks on purpose, so that the demo has something to find."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEALTH, EXPORT = "/health", "/orders/export"
_CHECKS_IN_A_ROUND = 6
_DOWN = (2, 3)
"""Of six checks in a row, these find the site down."""
_BUSY_EVERY = 3


@dataclass
class ShopSite:
    """Listens on a free port of this machine. Every third export is refused at its first attempt, for a second."""

    exported: list[str] = field(default_factory=list)
    """The IDs of the tasks whose export was carried out."""
    _refused: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _checks: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        site = self

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200 if site.is_well() else 503, b"the shop is open")

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer(200 if site.take_export(self.headers["Idempotency-Key"]) else 503, b"")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status == 503:
                    self.send_header("Retry-After", "1")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """The demo shows what the tasks find, and not each request."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def is_well(self) -> bool:
        """Whether the next check finds the site well."""
        with self._lock:
            self._checks += 1
            return self._checks % _CHECKS_IN_A_ROUND not in _DOWN

    def take_export(self, task_id: str) -> bool:
        """Carry out an export, or refuse it for now. The same task is carried out once."""
        with self._lock:
            self._seen.add(task_id)
            if len(self._seen) % _BUSY_EVERY == 0 and task_id not in self._refused | set(self.exported):
                self._refused.add(task_id)
                return False
            if task_id not in self.exported:
                self.exported.append(task_id)
            return True
