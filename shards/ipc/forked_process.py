"""The supervisor's side of the fork server, and of the processes that it forks."""

import ctypes
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from shards.ipc import fork_server
from shards.ipc.fork_server import (
    SUPERVISOR_SIGNALS,
    ForkRequest,
    decode_answer,
    encode_request,
    send_request,
)

_PR_SET_CHILD_SUBREAPER = 36
"""Parameter of prctl(2)."""
_START_SECONDS = 60.0
"""Time for the fork server to import its modules."""
_ANSWER_SECONDS = 10.0
_ANSWER_BYTES = 64
_HAS_EXITED = os.WEXITED | os.WNOHANG | os.WNOWAIT


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

    def __init__(self, preload: Sequence[str], *, fork: bool = False) -> None:
        """Start it; it imports these modules. OSError if the system has no resources left.

        `fork`: fork it from this process, with which it then shares memory. That has to have
        neither an event loop nor threads. Otherwise, and after a death, it is spawned. If it is
        forked, it imports the modules once it has forked its first child, which does not need them.
        """
        self._preload = list(preload)
        self._socket: socket.socket
        self._pid = 0
        self._answers_until_prompt = 0
        """Number of answers that may take as long as the imports."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._start(fork=fork and threading.active_count() == 1)

    @property
    def pid(self) -> int:
        """Of its process; 0 if it could not be started."""
        return self._pid

    def _start(self, *, fork: bool = False) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._pid = self._fork(ours, theirs) if fork else self._spawn(theirs)
            except OSError:
                ours.close()
                raise
        self._socket, self._answers_until_prompt = ours, 2 if fork else 1

    def _fork(self, ours: socket.socket, theirs: socket.socket) -> int:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                ours.close()
                fork_server.main(theirs.detach(), self._preload, early=True)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def _spawn(self, theirs: socket.socket) -> int:
        theirs.set_inheritable(True)
        path = [*sys.path, str(Path(__file__).parents[2])]
        code = f"import sys; sys.path[:] = {path}; from shards.ipc import fork_server; "
        code += f"fork_server.main({theirs.fileno()}, {self._preload})"
        arguments = [sys.executable, "-c", code]
        return os.posix_spawn(sys.executable, arguments, os.environ, setsigmask=SUPERVISOR_SIGNALS)

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
        try:
            send_request(self._socket, data, descriptors)
        except (BrokenPipeError, ConnectionResetError):  # it has died
            self._restart()
            send_request(self._socket, data, descriptors)
        imports = self._answers_until_prompt > 0
        self._socket.settimeout(_START_SECONDS if imports else _ANSWER_SECONDS)
        try:
            answer = self._socket.recv(_ANSWER_BYTES)
        except TimeoutError as error:
            self._restart()
            raise OSError(errno.ETIMEDOUT, "the fork server does not answer") from error
        if not answer:
            self._restart()
            raise OSError(errno.ECHILD, "the fork server has died")
        self._answers_until_prompt = max(0, self._answers_until_prompt - 1)
        return decode_answer(answer)
