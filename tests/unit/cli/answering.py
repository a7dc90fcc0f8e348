"""An HTTP server on loopback that answers by path."""

from __future__ import annotations

import http.server
import threading
from typing import Any


class Answering(http.server.ThreadingHTTPServer):
    """Answers each path as it was told, others as the longest path that they begin with, or 404."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def answer(self, path: str, status: int, headers: dict[str, str], body: bytes) -> None:
        """Say what is answered at a path, query included, and below if it ends with a slash."""
        self._answers[path] = (status, headers, body)

    def answer_to(self, path: str) -> tuple[int, dict[str, str], bytes]:
        fitting = [
            known
            for known in self._answers
            if path == known or (known.endswith("/") and path.startswith(known))
        ]
        return self._answers[max(fitting, key=len)] if fitting else (404, {}, b"{}")

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Answering

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, body = self.server.answer_to(self.path)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *args: Any) -> None:
        pass
