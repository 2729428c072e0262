"""Set-up in shared memory."""

import pytest

from shards.ipc.shared_setup import SharedSetup

VIEWS = [memoryview(b"x" * 1_000_000), memoryview(b""), memoryview(b"y")]


def test_what_is_loaded_is_what_was_given() -> None:
    content = {"bytes": b"x" * 1_000_000, "number": 1}
    assert SharedSetup(content).load() == content


def test_memory_views_are_mapped_and_cannot_be_written_to() -> None:
    loaded = SharedSetup(VIEWS).load()
    assert loaded == VIEWS
    assert len({id(view.obj) for view in loaded}) == 1
    with pytest.raises(TypeError, match="read-only"):
        loaded[0][0] = 1
