"""A configuration as the processes of a service use it: each one gets its part.

The configurations that run in a service one after the other are its *generations*. The loader
process makes the parts, so that no other process needs the memory for all of them.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from engine.asset import Asset
from engine.directives.packed_directives import PackedDirectives
from shards.ipc.shared_value import SharedValue

if TYPE_CHECKING:  # places without lookups do without their libraries
    from shards.lookups.source_config import LookupSource


class WorkerConfig(Struct, frozen=True):
    """What a worker needs of a configuration: its directives, all assets and lookup sources."""

    directives: PackedDirectives
    assets: tuple[Asset, ...]
    sources: "tuple[LookupSource, ...]" = ()


class RouterConfig(Struct, frozen=True):
    """What the router needs. `routing_keys`: a list of DirectiveRoutingKeys in MessagePack.

    `former`: as `routing_keys`, of former definitions under which backlogs may be open.
    """

    routing_keys: bytes
    assets: tuple[Asset, ...]
    former: bytes = b""


class ConfigChanges(Struct, frozen=True):
    """How a configuration differs from the one before it, by the ids of directives, sorted.

    `unchanged`: the number of those that are the same. `assets`, `lookups`: whether these differ.
    """

    added: list[int] = []
    changed: list[int] = []
    removed: list[int] = []
    unchanged: int = 0
    assets: bool = False
    lookups: bool = False

    @classmethod
    def between(cls, old: "ConfigSummary | None", new: "ConfigSummary") -> "ConfigChanges":
        """The changes from one configuration to another; all is new if there was none."""
        before = {} if old is None else old.definitions
        now = new.definitions
        both = before.keys() & now.keys()
        changed = sorted(id_ for id_ in both if before[id_] != now[id_])
        return cls(
            added=sorted(now.keys() - before.keys()),
            changed=changed,
            removed=sorted(before.keys() - now.keys()),
            unchanged=len(both) - len(changed),
            assets=old is None or old.assets != new.assets,
            lookups=new.lookups != (0 if old is None else old.lookups),
        )

    @property
    def any(self) -> bool:
        """Whether there are differences."""
        return bool(self.added or self.changed or self.removed or self.assets or self.lookups)


class ConfigSummary(Struct, frozen=True):
    """What the supervisor keeps of a configuration.

    `hash`: SHA-256 of all its files, in hex. `directives`: ids by worker. `rejected`: directives
    left out for their faults; `disabled`: ids of disabled ones. `definitions`: by id of each
    directive, also those of other services of the node, a hash of its content; `assets`, `lookups`:
    hashes of these, 0 without lookup sources. `trouble`: why it is not the newest configuration, or
    "". `files`: by name, the kind of each file and the number of its valid entries.
    """

    hash: str
    directives: list[list[int]]
    rejected: int = 0
    disabled: tuple[int, ...] = ()
    definitions: dict[int, int] = {}
    assets: int = 0
    lookups: int = 0
    trouble: str = ""
    files: dict[str, tuple[str, int]] = {}


class LoadResult(Struct, frozen=True):
    """What became of loading a configuration.

    `summary`: None if there is a fault; then nothing else was written. `changes`: since the running
    configuration. `problems`: those to list, as `Problem.as_document` gives them, with their line
    of text as `text`, first those of a faulty download; `unlisted`: a line about the others, or "".
    `error`: a fault of the whole, such as a missing folder, or ""; `exit_code`: with which a start
    ends then.
    """

    summary: ConfigSummary | None
    changes: ConfigChanges = ConfigChanges()
    problems: list[dict[str, Any]] = []
    unlisted: str = ""
    error: str = ""
    exit_code: int = 0


class ConfigParts(NamedTuple):
    """Where the loader writes: a LoadResult, the RouterConfig, and the WorkerConfigs by number.

    `known`: for the next loader, ids by digest of directives, see `parse_directives`.
    """

    result: SharedValue
    known: SharedValue
    router: SharedValue
    workers: tuple[SharedValue, ...]

    @classmethod
    def create(cls, workers: int) -> "ConfigParts":
        """Empty ones. OSError when the system has no memory or descriptors left."""
        result, known, router, *by_worker = (SharedValue() for _ in range(3 + workers))
        return cls(result, known, router, tuple(by_worker))


class FormerDefinitions(Struct, frozen=True):
    """What is known of former definitions with open backlogs, when a configuration is loaded.

    `directives`: theirs; None if that is not known. `restored`: routing keys, as in RouterConfig,
    of those that were restored at the start of the service, a document of each worker.
    """

    directives: frozenset[int] | None = None
    restored: list[bytes] = []


class RunningConfig(NamedTuple):
    """The configuration that runs: its parts, and its FormerDefinitions."""

    parts: ConfigParts
    former: SharedValue


class GenerationStart(NamedTuple):
    """A generation that a child is started with.

    `config`: a WorkerConfig or RouterConfig. For the router, `after`: the position in a stream
    after which it is used; `restored`: as in FormerDefinitions.
    """

    generation: int
    config: SharedValue
    after: int = 0
    restored: SharedValue | None = None


class LoadRequest(NamedTuple):
    """What to load: the config folder, after a download from the frontend if `download`.

    `is_start`: the service starts, so that without an earlier download the loader waits for the
    frontend as long as it takes; with one it waits for `wait_seconds`, and then uses that one. If
    it is no start, it gives up after `wait_seconds`.
    """

    download: bool
    is_start: bool
    wait_seconds: float
