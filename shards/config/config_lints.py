"""Lints of a whole configuration: what needs its assets, or all of its directives."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from xxhash import xxh3_128_digest

from engine.address import is_host, merge_covering, parse_network
from engine.alarm import RuleRecord
from engine.asset import Asset, NetworkAssets
from engine.cache import FunctionCache
from engine.directives.condition import find_reference, split_list
from engine.directives.directive import Directive, ParsedDirective
from engine.directives.json_document import describe_value
from engine.directives.lints import directive_lints
from engine.directives.portability import own_features
from engine.errors import Finding

_encode = msgspec.msgpack.Encoder().encode
_KNOWN_CONDITIONS = 8192
"""Size of the cache by address condition; thousands of directives share a few."""


class _Side(Struct, frozen=True):
    """What the assets say of the addresses that a condition lets through.

    `value`: none of them has a higher one. `empty`: there are none. `whitelisted`: all are.
    """

    value: int
    empty: bool = False
    whitelisted: bool = False


class _AssetsOfConditions:
    """What all the assets of a configuration say of address conditions."""

    def __init__(self, assets: list[Asset]) -> None:
        home = [asset.value for asset in assets if not asset.whitelisted]
        self.highest = max(home, default=0)
        self._assets = NetworkAssets(assets)
        self.side_of = FunctionCache(self._side_of, _KNOWN_CONDITIONS).__getitem__
        """The _Side of a condition's text."""

    def _side_of(self, text: str) -> _Side:
        whole = text.strip()
        if whole == "!HOME_NET":
            return _Side(0)
        if reference := find_reference(whole, "src_ip"):
            # One to an address adds none that an earlier stage has not.
            known = reference.field in ("src_ip", "dst_ip") and not reference.negated
            return _Side(0 if known else self.highest)
        if whole in ("ANY", "HOME_NET"):
            return _Side(self.highest, empty=whole == "HOME_NET" and not self.highest)
        items = split_list(text, by_blanks=True)
        networks = [parse_network(bare)[0] for bare, _ in items]
        if not (all(plain for _, plain in items) and all(map(is_host, networks))):
            return _Side(self.highest)
        found = [self._assets.address_info(str(network.network_address)) for network in networks]
        return _Side(
            max(info.value for info in found), whitelisted=all(info.whitelisted for info in found)
        )


class ConfigLints:
    """Collects what the lints of one configuration need, file by file."""

    def __init__(self, *, portable: bool = False) -> None:
        """`portable`: warn of what other Dsiem backends do not have."""
        self._portable = portable
        self._assets: list[tuple[Asset, Path, int]] = []
        """The assets, each with its file and its position in it."""
        self._known: _AssetsOfConditions | None = None
        self._ids: dict[bytes, int] = {}
        """The first directive id by a digest of all but id and names."""

    def add_assets(self, path: Path, assets: Mapping[int, Asset]) -> None:
        """Add the assets of a file, by their position in it."""
        self._assets += [(asset, path, position) for position, asset in assets.items()]

    def know_all_assets(self) -> None:
        """From now on, directives are judged by the assets added, which are all."""
        self._known = _AssetsOfConditions([asset for asset, _, _ in self._assets])

    def of_directive(self, parsed: ParsedDirective) -> Iterator[Finding]:
        """The lints of a directive: its own, and those with the assets and other directives."""
        yield from directive_lints(parsed)
        if parsed.directive is None:
            return
        for feature in own_features(parsed.directive) if self._portable else ():
            message = f"{feature.message}, which other Dsiem backends do not have"
            found = parsed.lint("not-portable", message, feature.field, stage=feature.stage)
            yield replace(found, lint=False)
        first = self._ids.setdefault(_digest(parsed.directive), parsed.directive.id)
        if first != parsed.directive.id:
            message = f"has the rules of directive {first}: each of their alarms is raised twice"
            yield parsed.lint("same-rules", message, "id")
        if self._known is not None:
            yield from _never_matches(parsed, self._known)
            yield from _no_risk(parsed, self._known)

    def between_assets(self) -> Iterator[tuple[Path, list[Finding]]]:
        """By file: the lints of assets inside whitelisted ones; events from them are dropped."""
        whitelisted = {asset.network: asset for asset, _, _ in self._assets if asset.whitelisted}
        if not whitelisted:
            return
        found: dict[Path, list[Finding]] = defaultdict(list)
        networks = dict.fromkeys(asset.network for asset, _, _ in self._assets)
        around = dict(merge_covering((network, network) for network in networks))
        for asset, path, position in self._assets:
            outer = next((one for one in around[asset.network] if one in whitelisted), None)
            if outer is not None and not asset.whitelisted:
                name = describe_value(whitelisted[outer].name).removeprefix("the text ")
                message = (
                    f"is {asset.network}, inside the whitelisted asset {name}, {outer}: "
                    "events from it are dropped"
                )
                place = ("assets", position, "cidr")
                found[path].append(
                    Finding(
                        "whitelisted-asset", message, place, field="cidr", warning=True, lint=True
                    )
                )
        yield from found.items()


def _digest(directive: Directive) -> bytes:
    """The same for directives that differ only in their id, and in their and their rules' names."""
    rules = [replace(rule, name="") for rule in directive.rules]
    same = replace(directive, id=0, name="", rules=tuple(rules))
    return xxh3_128_digest(_encode(same))


def _never_matches(parsed: ParsedDirective, known: _AssetsOfConditions) -> Iterator[Finding]:
    for rule in parsed.directive.rules if parsed.directive else ():
        source, target = known.side_of(rule.from_), known.side_of(rule.to)
        if source.whitelisted:
            message = "has only whitelisted addresses: their events are dropped, so none can match"
            yield parsed.lint("never-matches", message, "from", stage=rule.stage)
        if source.empty or target.empty:
            message = "is HOME_NET, and every asset is whitelisted: no event can match"
            field = "from" if source.empty else "to"
            yield parsed.lint("never-matches", message, field, stage=rule.stage)


def _no_risk(parsed: ParsedDirective, known: _AssetsOfConditions) -> Iterator[Finding]:
    """A directive whose risk is 0 whatever addresses its conditions let through."""
    directive = parsed.directive
    if directive is None or _can_have_risk(directive, known):
        return
    reliability = max(rule.reliability for rule in directive.rules)
    value = max(_value(rule, known) for rule in directive.rules)
    message = (
        f"is {directive.priority}, with a reliability of at most {reliability} and assets of at "
        f"most {value}: the risk is 0 at each stage, so that no alarm is written"
    )
    yield parsed.lint("no-risk", message, "priority")


def _can_have_risk(directive: Directive, known: _AssetsOfConditions) -> bool:
    """Whether the risk of any stage can be 1: a stage has the addresses of all stages up to it."""
    value = 0
    for rule in directive.rules:
        value = max(value, _value(rule, known))
        if directive.priority * rule.reliability * value >= 25:
            return True
    return False


def _value(rule: RuleRecord, known: _AssetsOfConditions) -> int:
    """The highest value of the addresses that a rule lets through."""
    return max(known.side_of(rule.from_).value, known.side_of(rule.to).value)
