"""NetworkAssets: what the assets say of an address, found by longest prefix.

Reads asset documents too. Which rule asks what of an address is condition.py's matter.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from engine.address import (
    CACHED_ADDRESSES,
    Network,
    PrefixMap,
    is_host,
    merge_covering,
    parse_network,
)
from engine.document import Field, FieldTable, decode_item, describe, open_list
from engine.errors import Finding
from engine.memo import Memo

HIGHEST_VALUE = 5
"""The highest asset value that the risk formula is made for; above it there is a warning."""
_FIELDS = FieldTable(
    Field("name", "str", required=True, filled=True),
    Field("cidr", "str", required=True, filled=True),
    Field("value", "int", required=True, low=1),
    Field("whitelisted", "bool"),
)


class Asset(Struct, frozen=True):
    """One entry of an assets file, its network masked and IPv4-mapped IPv6 made IPv4."""

    name: str
    network: Network
    value: int
    whitelisted: bool = False


class Facts(Struct, frozen=True):
    """What the assets say of one address.

    `home`: inside HOME_NET. `whitelisted`: its events are dropped when it is their source.
    `value`: highest of the HOME_NET assets that contain it, else 0. `name`: of its host asset,
    else "". `networks`: CIDRs of the HOME_NET assets that contain it, hosts left out.
    """

    home: bool = False
    whitelisted: bool = False
    value: int = 0
    name: str = ""
    networks: tuple[str, ...] = ()


_OUTSIDE = Facts()


class NetworkAssets:
    """All assets of a configuration, asked by address."""

    def __init__(self, assets: Iterable[Asset]) -> None:
        merged = merge_covering((asset.network, asset) for asset in assets)
        self._facts = PrefixMap((network, _facts(network, around)) for network, around in merged)
        self.facts = Memo(self._find, CACHED_ADDRESSES).__getitem__

    def _find(self, address: str) -> Facts:
        """The facts of a canonical address."""
        return self._facts.get(address, _OUTSIDE)


def _facts(network: Network, around: list[Asset]) -> Facts:
    home = [asset for asset in around if not asset.whitelisted]
    names = [asset.name for asset in around if asset.network == network and is_host(network)]
    networks = (str(asset.network) for asset in home if not is_host(asset.network))
    return Facts(
        home=bool(home),
        whitelisted=len(home) < len(around),
        value=max((asset.value for asset in home), default=0),
        name=names[0] if names else "",
        networks=tuple(dict.fromkeys(networks)),
    )


def parse_assets(data: bytes) -> tuple[list[Asset], list[Finding]]:
    """The assets of one document, and every finding in it, warnings included."""
    items, findings = open_list(data, "assets")
    assets: list[Asset] = []
    for position, raw in enumerate(items):
        asset, found = _read_asset(raw)
        findings += [finding.below("assets", position) for finding in found]
        if asset is not None:
            assets.append(asset)
    return assets, findings


def _read_asset(raw: msgspec.Raw) -> tuple[Asset | None, list[Finding]]:
    item, unreadable = decode_item(raw)
    if unreadable:
        return None, unreadable
    values, faults = _FIELDS.read(item)
    cidr = values.get("cidr")
    network, masked = _read_network(cidr)
    if cidr is not None and network is None:
        faults.append(_not_a_network(cidr))
    warnings = [*_host_bits(cidr, network, masked), *_high_value(values.get("value"))]
    if network is None or faults:
        return None, faults + warnings
    return Asset(values["name"], network, values["value"], values["whitelisted"]), warnings


def _read_network(cidr: str | None) -> tuple[Network | None, bool]:
    try:
        return (None, False) if cidr is None else parse_network(cidr)
    except ValueError:
        return None, False


def _not_a_network(cidr: str) -> Finding:
    message = f"is {describe(cidr)}, must be a CIDR or IP, such as 10.0.0.0/8 or 2001:db8::1"
    return Finding("bad-address", message, ("cidr",), field="cidr")


def _host_bits(cidr: str | None, network: Network | None, masked: bool) -> Iterator[Finding]:
    if masked:
        message = f"is {describe(cidr)}, has host bits set: taken as {network}"
        yield Finding("host-bits", message, ("cidr",), field="cidr", warning=True)


def _high_value(value: int | None) -> Iterator[Finding]:
    if value is not None and value > HIGHEST_VALUE:
        message = f"is {value}, should be from 1 to {HIGHEST_VALUE}"
        yield Finding("high-value", message, ("value",), field="value", warning=True)
