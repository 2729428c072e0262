"""The directives and assets of a shard as one configuration has them, built ahead of their use."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from engine.asset import NetworkAssets
from engine.directives.directive import Directive
from engine.directives.index import DirectiveIndex, DirectiveRoutingKeys, routing_keys_of
from engine.directives.packed_directives import PackedDirectives

T = TypeVar("T")


def untracked(items: Iterable[T]) -> Iterable[T]:
    """The items as they are, where nobody watches the progress."""
    return items


class DirectiveSet:
    """Directives by id, the index of their events, and the assets; nothing changes them."""

    __slots__ = ("assets", "directives", "index")

    def __init__(
        self,
        directives: Iterable[Directive] | PackedDirectives,
        assets: NetworkAssets,
        track_progress: Callable[
            [Iterable[DirectiveRoutingKeys]], Iterable[DirectiveRoutingKeys]
        ] = untracked,
    ) -> None:
        """`track_progress`: wraps what is taken one by one, so that a thread can pause there."""
        self.directives: Mapping[int, Directive]
        if isinstance(directives, PackedDirectives):
            self.directives, keys = directives, directives.routing_keys()
        else:
            self.directives = {directive.id: directive for directive in directives}
            keys = map(routing_keys_of, self.directives.values())
        self.assets = assets
        self.index = DirectiveIndex(track_progress(keys))

    def has_same(self, directive: int, other: "DirectiveSet") -> bool:
        """Whether both have this directive, and with the same content."""
        ours, theirs = self.directives, other.directives
        if isinstance(ours, PackedDirectives) and isinstance(theirs, PackedDirectives):
            document = ours.document(directive)
            return document is not None and document == theirs.document(directive)
        found = ours.get(directive)
        return found is not None and found == theirs.get(directive)
