"""Directives that are packed one by one."""

import pickle

import msgspec
import pytest

from engine.directives.directive import Directive, parse_directives
from engine.directives.index import routing_keys_of
from engine.directives.packed_directives import (
    DirectivesPacker,
    MessagePackList,
    PackedDirectives,
    encode_directive,
    encode_routing_keys,
)
from tests.support.replaying import directive, rule


def some_directives(number: int) -> list[Directive]:
    """Directives with ids in falling order."""
    documents = [
        directive(id_, rule(1, id_), rule(2, id_, occurrence=3)) for id_ in range(number, 0, -1)
    ]
    data = msgspec.json.encode({"directives": documents})
    return [parsed.directive for parsed in parse_directives(data) if parsed.directive]


@pytest.mark.parametrize("number", [0, 1, 20])
def test_directives_that_are_added_one_by_one_are_as_those_packed_together(number: int) -> None:
    directives = some_directives(number)
    assert len(directives) == number
    packer = DirectivesPacker()
    for each in directives:
        packer.add(each.id, encode_routing_keys(each), encode_directive(each))
    packed = packer.packed()
    assert packer.ids == [each.id for each in directives]
    assert list(packed) == list(PackedDirectives.pack(directives)) == packer.ids
    assert list(packed.values()) == directives
    assert list(packed.routing_keys()) == [routing_keys_of(each) for each in directives]


@pytest.mark.parametrize("number", [0, 1, 15, 16, 70_000])
def test_a_list_of_any_length_is_read_as_one(number: int) -> None:
    items = MessagePackList()
    for item in range(number):
        items.append(item)
    assert msgspec.msgpack.decode(items.encoded()) == list(range(number))


def test_encoded_lists_are_plain_bytes() -> None:
    items = MessagePackList()
    items.append("a")
    assert pickle.loads(pickle.dumps(items.encoded())) == items.encoded()
    assert type(items.encoded()) is bytes
