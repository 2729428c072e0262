"""Pipes between processes, both ends in this one."""

import asyncio
import os

from multiprocess import connection

from shards.ipc.framing import encode_frame, read_batch
from shards.ipc.messages import Batch
from shards.ipc.pipes import (
    PIPE_BYTES,
    ROOM_BYTES,
    has_room,
    make_pipe,
    open_reader,
    open_writer,
)


def test_a_pipe_holds_a_whole_batch_without_a_reader() -> None:
    reader, writer = make_pipe()
    os.set_blocking(writer.fileno(), False)
    assert os.write(writer.fileno(), bytes(PIPE_BYTES)) == PIPE_BYTES
    reader.close()
    writer.close()


def test_batches_arrive_in_order_until_the_writer_closes() -> None:
    async def story() -> None:
        reader, writer = make_pipe()
        stream = await open_writer(os.dup(writer.fileno()))
        writer.close()
        texts = [[b"a"], [b"x" * 300_000, b"y"], [b"b"]]
        batches = [Batch(1, len(events), 2, False, events) for events in texts]
        async with open_reader(os.dup(reader.fileno())) as source:
            reader.close()
            for batch in batches:
                stream.write(encode_frame(batch))
            reading = [await read_batch(source) for _ in batches]
            stream.close()
            await stream.wait_closed()
            assert reading == batches
            assert await read_batch(source) is None

    asyncio.run(story())


def test_a_reader_closes_its_descriptor() -> None:
    async def story() -> None:
        reader, writer = make_pipe()
        descriptor = os.dup(reader.fileno())
        async with open_reader(descriptor):
            os.fstat(descriptor)
        await asyncio.sleep(0)  # the transport closes in the next turn of the loop
        try:
            os.fstat(descriptor)
        except OSError:
            pass
        else:
            raise AssertionError("the descriptor is still open")
        reader.close()
        writer.close()

    asyncio.run(story())


def test_a_control_pipe_with_room_takes_a_message_without_blocking_until_it_is_full() -> None:
    ours, theirs = connection.Pipe()
    os.set_blocking(ours.fileno(), False)
    sent = 0
    while has_room(ours):
        ours.send_bytes(bytes(ROOM_BYTES))  # BlockingIOError if it does not fit
        sent += 1
    assert 1 <= sent < 100
    for _ in range(sent):
        assert theirs.recv_bytes() == bytes(ROOM_BYTES)
    assert has_room(ours)
    theirs.close()
    assert has_room(ours), "so that a sender notices that nobody reads"
    ours.close()
