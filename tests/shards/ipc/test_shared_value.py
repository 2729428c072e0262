"""Values in shared memory."""

import os

import pytest

from shards.ipc.shared_value import SharedValue

VIEWS = [memoryview(b"x" * 1_000_000), memoryview(b""), memoryview(b"y")]


def test_what_is_loaded_is_what_was_given() -> None:
    content = {"bytes": b"x" * 1_000_000, "number": 1}
    assert SharedValue.of(content).load() == content


def test_memory_views_are_mapped_and_cannot_be_written_to() -> None:
    loaded = SharedValue.of(VIEWS).load()
    assert loaded == VIEWS
    assert len({id(view.obj) for view in loaded}) == 1
    with pytest.raises(TypeError, match="read-only"):
        loaded[0][0] = 1


def test_one_that_is_written_later_is_loaded_from_its_descriptor() -> None:
    written = SharedValue()
    other = SharedValue(os.dup(written.descriptor))
    written.write("x")
    assert other.load() == other.load() == "x"
    other.close()
    assert written.load() == "x"
