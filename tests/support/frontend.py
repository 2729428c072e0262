"""A frontend for tests: a real HTTP server that lists and serves files, with faults on request.

It has the replies only; the tests check what the client makes of them.
"""

import json
import threading
from base64 import b64decode
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple, Self

LIST = "/config/"
_NONE: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """An answer; `headers` come in addition to the usual ones, or in place of them (None: without).

    After `sent` bytes of the body, if given, the connection is closed. With `drip` there are so
    many seconds after each byte of the body, with `head_drip` after each byte of the head.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str | None] = _NONE
    sent: int | None = None
    drip: float = 0.0
    head_drip: float = 0.0

    def head(self) -> bytes:
        usual = {
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            "Connection": "close",
        }
        lines = (f"{k}: {v}\r\n" for k, v in {**usual, **self.headers}.items() if v is not None)
        return f"HTTP/1.1 {self.status} Any\r\n{''.join(lines)}\r\n".encode()


class Asked(NamedTuple):
    """A request, and user:password of its login."""

    path: str
    login: str | None
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes = b""


class Frontend:
    """Serves `files` and their list; a path in `replies` is answered like that instead.

    A list of replies is used up one by one, then the path is as usual again. `stop` ends it, also
    in the middle of an answer; `start` starts it again on the same port.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.replies: dict[str, Reply | list[Reply]] = {}
        self.asked: list[Asked] = []
        self.asked_for = threading.Condition()
        self._port = 0
        self._server: _Server | None = None
        self._thread = threading.Thread()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *about: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def url_with_login(self, login: str) -> str:
        return f"http://{login}@127.0.0.1:{self._port}"

    def put(self, name: str, document: Any) -> None:
        """Serve a file with this document."""
        self.files[name] = json.dumps(document).encode()

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.frontend = self
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def wait_for(self, path: str, number: int = 1, seconds: float = 5.0) -> None:
        """Wait until a path has been asked for so many times."""
        with self.asked_for:
            asked = self.asked_for.wait_for(lambda: self.times(path) >= number, seconds)
        assert asked, f"{path} was asked for {self.times(path)} times, not {number}"

    def wait_until_idle(self) -> None:
        """Wait until all that was asked has been answered, or given up."""
        self.stop()
        self.start()

    def times(self, path: str) -> int:
        """How many times a path has been asked for."""
        return sum(asked.path == path for asked in self.asked)

    def reply(self, asked: Asked) -> Reply:
        return self.reply_to(asked.path)

    def reply_to(self, path: str) -> Reply:
        scripted = self.replies.get(path)
        if isinstance(scripted, Reply):
            return scripted
        if scripted:
            return scripted.pop(0)
        if path == LIST:
            return Reply(body=list_of(*self.files))
        name = path.removeprefix(LIST)
        return Reply(body=self.files[name]) if name in self.files else Reply(404, b"no such file")


def list_of(*names: str) -> bytes:
    """The body of a list of files."""
    return json.dumps({"files": [{"filename": name} for name in names]}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # they are waited for, so nothing outlives a test
    frontend: Frontend

    def __init__(self, *args: Any) -> None:
        self.stopping = threading.Event()
        super().__init__(*args)

    def handle_error(self, *about: object) -> None:
        """A client that has gone is nothing to be shown."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        self.close_connection = True
        frontend = self.server.frontend
        length = int(self.headers.get("Content-Length", 0))
        headers, body = dict(self.headers.items()), self.rfile.read(length)
        asked = Asked(self.path, self._login(), headers, self.command, body)
        with frontend.asked_for:
            frontend.asked.append(asked)
            reply = frontend.reply(asked)
            frontend.asked_for.notify_all()
        self._send(reply.head(), reply.head_drip)
        self._send(reply.body[: reply.sent], reply.drip)

    do_POST = do_DELETE = do_GET  # noqa: N815 - names of http.server

    def _login(self) -> str | None:
        scheme, _, login = self.headers.get("Authorization", "").partition(" ")
        return b64decode(login).decode() if scheme == "Basic" else None

    def _send(self, data: bytes, drip: float) -> None:
        step = 1 if drip else max(1, len(data))
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            if self.server.stopping.wait(drip):
                return

    def log_message(self, *about: object) -> None:
        """Nothing: tests look at `asked`."""
