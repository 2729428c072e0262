"""The supervisor's side of the fork server, and of the processes that it forks."""

import ctypes
import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from shards.ipc.fork_server import (
    MAX_DESCRIPTORS,
    SUPERVISOR_SIGNALS,
    ForkRequest,
    decode_answer,
    encode_request,
)
from shards.settings.settings import Settings

_PR_SET_CHILD_SUBREAPER = 36
"""Parameter of prctl(2)."""
_START_SECONDS = 60.0
"""Time for the fork server to import its modules."""
_ANSWER_SECONDS = 10.0
_ANSWER_BYTES = 64
_HAS_EXITED = os.WEXITED | os.WNOHANG | os.WNOWAIT


def modules_of_children(settings: Settings) -> list[str]:
    """The modules that the fork server imports for the children of a service."""
    if settings.stream:
        source = "stream_source"
    else:
        source = "nats_source" if settings.mode == "cluster-backend" else "http_source"
    return ["shards.worker.process", "shards.router.process", f"shards.sources.{source}"]


class ForkedProcess:
    """A process that the fork server has forked; a child of this one."""

    def __init__(self, pid: int, sentinel: int) -> None:
        """`sentinel`: a descriptor that is readable once the process has ended."""
        self.pid = pid
        self.sentinel = sentinel
        self._code: int | None = None

    def wait(self) -> int:
        """Wait for its end; the exit code, or the negative number of the signal that ended it."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.sentinel)
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal; ProcessLookupError if it has ended and was waited for."""
        if self._code is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)


class ForkServer:
    """A running fork server, started again when it dies. Only for the main thread."""

    def __init__(self, preload: Sequence[str]) -> None:
        """Start it; it imports these modules. OSError if the system has no resources left."""
        self._preload = list(preload)
        self._socket: socket.socket
        self._pid = 0
        self._has_answered = False
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._start()

    @property
    def pid(self) -> int:
        """Of its process; 0 if it could not be started."""
        return self._pid

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = [*sys.path, str(Path(__file__).parents[2])]
        code = "import sys; sys.path[:] = {!r}; from shards.ipc import fork_server; "
        code += "fork_server.main({!r}, {!r})"
        with theirs:
            theirs.set_inheritable(True)
            command = code.format(path, theirs.fileno(), self._preload)
            arguments = [sys.executable, "-c", command]
            try:
                self._pid = os.posix_spawn(
                    sys.executable, arguments, os.environ, setsigmask=SUPERVISOR_SIGNALS
                )
            except OSError:
                ours.close()
                raise
        self._socket, self._has_answered = ours, False

    def _end(self) -> None:
        self._socket.close()
        pid, self._pid = self._pid, 0
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End it; the children go on."""
        self._end()

    def restart_if_dead(self) -> bool:
        """Start it again if it has died; whether it had. OSError as in the constructor."""
        if self._pid and os.waitid(os.P_PID, self._pid, _HAS_EXITED) is None:
            return False
        self._restart()
        return True

    def _restart(self) -> None:
        self._end()
        self._start()

    def fork(self, name: str, target: str, *arguments: Any) -> ForkedProcess:
        """Fork a process that runs `target`, which is `module:function`.

        Arguments are plain data, connections, and what is made of these. OSError when the system
        has no memory, descriptors or processes left, or the fork server does not answer.
        """
        data, descriptors = encode_request(ForkRequest(name, target, arguments))
        sentinel, held = os.pipe()
        try:
            try:
                pid = self._request(data, [*descriptors, held])
            finally:
                os.close(held)
        except BaseException:
            os.close(sentinel)
            raise
        return ForkedProcess(pid, sentinel)

    def _request(self, data: bytes, descriptors: Sequence[int]) -> int:
        assert len(descriptors) <= MAX_DESCRIPTORS
        try:
            socket.send_fds(self._socket, [data], descriptors)
        except (BrokenPipeError, ConnectionResetError):  # it has died
            self._restart()
            socket.send_fds(self._socket, [data], descriptors)
        self._socket.settimeout(_ANSWER_SECONDS if self._has_answered else _START_SECONDS)
        try:
            answer = self._socket.recv(_ANSWER_BYTES)
        except TimeoutError as error:
            self._restart()
            raise OSError(errno.ETIMEDOUT, "the fork server does not answer") from error
        if not answer:
            self._restart()
            raise OSError(errno.ECHILD, "the fork server has died")
        self._has_answered = True
        return decode_answer(answer)
