"""Configurations that follow one another: each version changes, adds, removes and disables.

Each worker has directives for scenarios (see reload_traffic) and *probes*. A probe opens a backlog
with an alarm for each probing event; its name is the number of the version, so that its alarms say
by which version each of these events was matched.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from engine.asset import NetworkAssets
from engine.correlation.directive_set import DirectiveSet
from tests.support.replayed_scenarios import config_of
from tests.support.replaying import Json, directive, rule
from tests.support.serving import directives_of

WORKERS = 2
PROBING = {"product": "reloads", "category": "probing"}
"""Fields of an event that every probe takes, beside those for another directive."""
_DIRECTIVES, _PROBES = 4, 3
"""For each worker. Versions have one probe for each worker in turn: so old probes are removed."""
VARIANTS = 6
"""Definitions that a directive has at different times; see `variant`."""
_WHITELISTED = "101.0.0.0/8"
"""Sources that some versions whitelist."""
_PERCENT_CHANGED, _PERCENT_GONE, _PERCENT_DISABLED = 45, 12, 8


@dataclass(frozen=True)
class Version:
    """A configuration. `variants`: by directive that is enabled, the number of its definition."""

    number: int
    directives: list[Json]
    assets: list[Json]
    variants: dict[int, int]

    @cached_property
    def directive_set(self) -> DirectiveSet:
        """It as the engine needs it."""
        config = config_of(self.directives, self.assets)
        return DirectiveSet(config.directives, NetworkAssets(config.assets))


def opening_sid(id_: int, variant: int) -> int:
    """What opens a backlog: two of the variants of a directive differ in it."""
    return 100 * id_ + variant % 2


def second_sid(id_: int, variant: int) -> int:
    """What ends the first wait of a backlog: no two variants want the same."""
    return 100 * id_ + 10 + variant


def last_sid(id_: int) -> int:
    """What finishes a backlog, in every variant."""
    return 100 * id_ + 20


def variant(id_: int, number: int) -> Json:
    """A definition of a directive; each differs from the others in rules, name and priority."""
    same = {"from": ":1", "to": ":1"}
    return directive(
        id_,
        rule(1, opening_sid(id_, number), reliability=1 + number % 3),
        rule(2, second_sid(id_, number), reliability=5, **same),
        rule(3, last_sid(id_), reliability=10 - number % 3, **same),
        name=f"directive {id_}, variant {number}, SRC_IP",
        priority=5 - number % 2,
    )


def probe(id_: int, number: int) -> Json:
    """The probe of this version."""
    shared = {"name": "r", "type": "TaxonomyRule", "occurrence": 1, "from": "ANY", "to": "ANY"}
    shared |= {"product": [PROBING["product"]], "category": PROBING["category"], "timeout": 60}
    opens = shared | {"stage": 1, "reliability": 10}
    never = shared | {"stage": 2, "reliability": 10, "subcategory": ["never"], "from": ":1"}
    return directive(id_, opens, never, name=f"version {number}")


def version_of(title: str) -> int | None:
    """The number of the version in the title of a probe's alarm; None of another alarm."""
    word, _, number = title.partition(" ")
    return int(number) if word == "version" else None


class Pool:
    """Makes one version after the other, from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        per_worker = [
            directives_of(worker, WORKERS, _DIRECTIVES + _PROBES) for worker in range(WORKERS)
        ]
        self.ids = [id_ for ids in per_worker for id_ in ids[:_DIRECTIVES]]
        self.probes = [ids[_DIRECTIVES:] for ids in per_worker]
        self._variants = dict.fromkeys(self.ids, 0)
        self._disabled: set[int] = set()
        self._gone: set[int] = set()
        self.latest = self._version(1)

    def next(self) -> Version:
        """The next version. Every one differs at least in its probes."""
        for id_ in self.ids:
            if self._happens(_PERCENT_CHANGED):
                self._variants[id_] = self._random.randrange(VARIANTS)
                self._gone -= {id_}
                self._disabled -= {id_}
            if self._happens(_PERCENT_GONE):
                self._gone |= {id_}
            elif self._happens(_PERCENT_DISABLED):
                self._disabled |= {id_}
        self.latest = self._version(self.latest.number + 1)
        return self.latest

    def _happens(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def _version(self, number: int) -> Version:
        present = [id_ for id_ in self.ids if id_ not in self._gone]
        directives = [
            variant(id_, self._variants[id_]) | ({"disabled": True} if off else {})
            for id_, off in ((id_, id_ in self._disabled) for id_ in present)
        ]
        directives += [probe(ids[number % _PROBES], number) for ids in self.probes]
        self._random.shuffle(directives)  # the order says nothing
        return Version(
            number,
            [dict(self._random.sample(list(one.items()), len(one))) for one in directives],
            self._assets(),
            {id_: self._variants[id_] for id_ in present if id_ not in self._disabled},
        )

    def _assets(self) -> list[Json]:
        assets = [{"name": "lan", "cidr": "10.0.0.0/8", "value": self._random.choice((4, 5))}]
        if self._happens(50):
            assets.append(
                {"name": "scanner", "cidr": _WHITELISTED, "value": 1, "whitelisted": True}
            )
        return assets


def faulty(version: Version, kind: int) -> dict[str, bytes]:
    """The files of a version with a fault, of one of `FAULTS` kinds."""
    files = files_of(version)
    name = next(name for name in files if name.startswith("directives_"))
    match kind:
        case 0:
            files[name] = files[name][: len(files[name]) // 2]
        case 1:
            files["directives_z.json"] = files[name]  # each id twice
        case 2:
            files[name] = files[name].replace(b'"stage": 2', b'"stage": 7')
        case 3:
            files["assets_a.json"] = b'{"assets": [{"name": "lan", "cidr": "10.0.0.0/99"}]}'
    return files


FAULTS = 4
"""Kinds of faults."""


def files_of(version: Version) -> dict[str, bytes]:
    """The files of a version by name: two or three of directives, since files do not matter."""
    number = 2 + version.number % 2
    files = {
        f"directives_{part}.json": _document("directives", version.directives[part::number])
        for part in range(number)
    }
    return files | {"assets_a.json": _document("assets", version.assets)}


def _document(key: str, items: Sequence[Json]) -> bytes:
    return json.dumps({key: items}).encode()


def changes_between(old: Version, new: Version) -> dict[str, list[int]]:
    """The ids of the directives that were added, changed and removed."""
    before, after = (
        {
            one["id"]: {k: v for k, v in one.items() if k != "disabled"}
            for one in version.directives
            if not one.get("disabled")
        }
        for version in (old, new)
    )
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(id_ for id_ in after.keys() & before.keys() if after[id_] != before[id_]),
        "removed": sorted(before.keys() - after.keys()),
    }
