"""Directives in MessagePack: each is read when it is asked for."""

import pytest
from msgspec.structs import replace

from engine.directives import packed_directives
from engine.directives.index import routing_keys_of
from engine.directives.packed_directives import PackedDirectives
from tests.support.directives import directive

SOME = [directive(id=id_, name=f"directive {id_}") for id_ in (3, 1, 5, 2, 4)]


@pytest.fixture(params=[1, 2, 5, 1000])
def packed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PackedDirectives:
    """Directives whose table has parts of several sizes."""
    monkeypatch.setattr(packed_directives, "_PART_ENTRIES", request.param)
    return PackedDirectives.pack(SOME)


def test_they_are_there_by_id_in_their_order(packed: PackedDirectives) -> None:
    assert list(packed.items()) == [(one.id, one) for one in SOME]
    assert len(packed) == 5
    assert 5 in packed
    assert 6 not in packed


def test_the_routing_keys_are_those_of_the_directives(packed: PackedDirectives) -> None:
    assert list(packed.routing_keys()) == list(map(routing_keys_of, SOME))
    assert packed[2] == SOME[3]


def test_equal_directives_have_equal_documents(packed: PackedDirectives) -> None:
    other = PackedDirectives.pack([SOME[1], replace(SOME[0], priority=1)])
    assert packed.document(1) == other.document(1)
    assert packed.document(3) != other.document(3)
    assert packed.document(9) is None


def test_there_may_be_none() -> None:
    packed = PackedDirectives.pack([])
    assert (list(packed), list(packed.routing_keys())) == ([], [])
