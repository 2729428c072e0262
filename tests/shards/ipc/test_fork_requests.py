"""Requests to the fork server, at the end of the process that sends them."""

import socket

from shards.ipc.fork_server import _receive_request


def test_a_supervisor_that_died_before_it_read_an_answer_has_no_more_requests() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.send(b"an answer")
        ours.close()  # with something unread: the other end sees a reset, not an end
        assert _receive_request(theirs) == (b"", [])
