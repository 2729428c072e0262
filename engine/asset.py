"""Assets, and what they say about an address."""

from collections.abc import Iterable

from msgspec import Struct

from engine.address import (
    CACHED_ADDRESSES,
    Network,
    PrefixMap,
    is_host,
    merge_covering,
)
from engine.cache import FunctionCache


class Asset(Struct, frozen=True):
    """One entry of an assets file, its network masked and IPv4-mapped IPv6 made IPv4."""

    name: str
    network: Network
    value: int
    whitelisted: bool = False


class AddressInfo(Struct, frozen=True):
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


_OUTSIDE = AddressInfo()


class NetworkAssets:
    """All assets of a configuration, asked by address."""

    def __init__(self, assets: Iterable[Asset]) -> None:
        merged = merge_covering((asset.network, asset) for asset in assets)
        self._facts = PrefixMap((network, _facts(network, around)) for network, around in merged)
        self.address_info = FunctionCache(self._find, CACHED_ADDRESSES).__getitem__

    def _find(self, address: str) -> AddressInfo:
        """The facts of a canonical address."""
        return self._facts.get(address, _OUTSIDE)


def _facts(network: Network, around: list[Asset]) -> AddressInfo:
    home = [asset for asset in around if not asset.whitelisted]
    names = [asset.name for asset in around if asset.network == network and is_host(network)]
    networks = (str(asset.network) for asset in home if not is_host(asset.network))
    return AddressInfo(
        home=bool(home),
        whitelisted=len(home) < len(around),
        value=max((asset.value for asset in home), default=0),
        name=names[0] if names else "",
        networks=tuple(dict.fromkeys(networks)),
    )
