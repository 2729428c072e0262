"""The fork server: a process that has imported what all children need, and forks them.

So children start at once, and share the memory of what is imported. It has neither event loop nor
threads, and one socket, to the supervisor. A child is not its own child but the supervisor's, which
adopts orphans: the fork server forks a process that forks the child and exits.

That of multiprocessing listens on an address, keeps the exit codes of its children to itself, and
lets its client wait for ever.
"""

import errno
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from multiprocess.connection import Connection

from shards.ipc.preload import import_modules

FAILED = 1
"""Exit code of a child that has failed, or whose supervisor is gone."""
SUPERVISOR_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that children ignore: the supervisor handles them."""
REQUEST_BYTES = 1 << 16
_MAX_DESCRIPTORS = 253
"""Number that Linux lets pass in one message."""
_MORE = b"+"
"""A message with descriptors of a request that is not complete yet."""
_ANSWER = struct.Struct("ii")
_NAME_BYTES = 15


class ForkRequest(NamedTuple):
    """A child to fork: `target` is `module:function`, which gets the arguments.

    `name` is what the system shows as the name of the process.
    """

    name: str
    target: str
    arguments: tuple[Any, ...]


class _Pickler(pickle.Pickler):
    """Pickles connections as positions in a list of descriptors."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.descriptors: list[int] = []

    def persistent_id(self, obj: object) -> tuple[int, bool, bool] | None:
        if not isinstance(obj, Connection):
            return None
        self.descriptors.append(obj.fileno())
        return len(self.descriptors) - 1, obj.readable, obj.writable


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, descriptors: Sequence[int]) -> None:
        super().__init__(BytesIO(data))
        self._descriptors = descriptors

    def persistent_load(self, pid: tuple[int, bool, bool]) -> Connection:
        position, readable, writable = pid
        return Connection(self._descriptors[position], readable=readable, writable=writable)


def encode_request(request: ForkRequest) -> tuple[bytes, list[int]]:
    """A request, and the descriptors of the connections in its arguments."""
    file = BytesIO()
    pickler = _Pickler(file)
    pickler.dump(request)
    return file.getvalue(), pickler.descriptors


def send_request(sending: socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    """Send a request from `encode_request`."""
    while len(descriptors) > _MAX_DESCRIPTORS:
        socket.send_fds(sending, [_MORE], descriptors[:_MAX_DESCRIPTORS])
        descriptors = descriptors[_MAX_DESCRIPTORS:]
    socket.send_fds(sending, [data], descriptors)


def _receive_request(receiving: socket.socket) -> tuple[bytes, list[int]]:
    """The next request and its descriptors; without data at the end of the socket."""
    data, descriptors = _MORE, list[int]()
    while data == _MORE:
        try:
            data, received, _, _ = socket.recv_fds(receiving, REQUEST_BYTES, _MAX_DESCRIPTORS)
        except ConnectionResetError:  # the supervisor has died before it read an answer
            return b"", descriptors
        descriptors += received
    return data, descriptors


def decode_answer(answer: bytes) -> int:
    """The process id of the child; OSError if there is none."""
    pid, error = _ANSWER.unpack(answer)
    if error:
        raise OSError(error, os.strerror(error))
    return int(pid)


def find_target(name: str) -> Callable[..., None]:
    """The function with this name, which is `module:function`."""
    module, _, function = name.partition(":")
    target: Callable[..., None] = getattr(import_module(module), function)
    return target


def main(descriptor: int, preload: Sequence[str], *, early: bool = False) -> NoReturn:
    """Import these modules, then fork a child for each request, until the supervisor is gone.

    `early`: the first child is forked before the imports.
    """
    for number in SUPERVISOR_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISOR_SIGNALS)
    _set_name("fork-server")
    requests = socket.socket(fileno=descriptor)
    run_child = _serve_one(requests) if early else None
    if run_child is None:
        import_modules(preload)
    while run_child is None:
        run_child = _serve_one(requests)
    run_child()
    os._exit(0)


def _serve_one(requests: socket.socket) -> Callable[[], None] | None:
    """Answer a request; returns what is left to do in this process if that is a child, or ends."""
    data, descriptors = _receive_request(requests)
    if not data:
        return lambda: None
    answer = _fork()
    if answer is None:
        requests.close()
        return lambda: _run_child(data, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    with suppress(OSError):  # the supervisor is gone, as the next read says
        requests.send(answer)
    return None


def _fork() -> bytes | None:
    """Fork a process that the supervisor adopts; the answer for it, and None in that process."""
    reader, writer = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        return _ANSWER.pack(0, error.errno)
    if between == 0:
        os.close(reader)
        try:
            child = os.fork()
        except OSError as error:
            os.write(writer, _ANSWER.pack(0, error.errno))
            os._exit(FAILED)
        if child == 0:
            os.close(writer)
            return None
        os.write(writer, _ANSWER.pack(child, 0))
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, _ANSWER.size)
    os.close(reader)
    os.waitpid(between, 0)  # then the supervisor is the parent of the child
    return answer or _ANSWER.pack(0, errno.ECHILD)


def _run_child(data: bytes, descriptors: Sequence[int]) -> None:
    """Run a child, and end this process."""
    code = FAILED
    try:
        request: ForkRequest = _Unpickler(data, descriptors).load()
        _set_name(request.name)
        find_target(request.target)(*request.arguments)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else FAILED
    except BaseException:
        traceback.print_exc()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def _set_name(name: str) -> None:
    """Set the name that ps and top show."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name[:_NAME_BYTES])
