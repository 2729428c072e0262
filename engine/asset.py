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
    """An entry of an assets file, its network masked and IPv4-mapped IPv6 as IPv4."""

    name: str
    network: Network
    value: int
    whitelisted: bool = False


class AddressInfo(Struct, frozen=True):
    """The information that the assets give about an address.

    `home`: in HOME_NET. `whitelisted`: events from it are dropped. `value`: highest value of the
    HOME_NET assets that contain it, else 0. `name`: name of its host asset, else "". `networks`:
    CIDRs of the HOME_NET assets that contain it, without host assets.
    """

    home: bool = False
    whitelisted: bool = False
    value: int = 0
    name: str = ""
    networks: tuple[str, ...] = ()


_OUTSIDE = AddressInfo()


class NetworkAssets:
    """All assets of a configuration; `address_info` is a cached lookup by canonical address."""

    def __init__(self, assets: Iterable[Asset]) -> None:
        merged = merge_covering((asset.network, asset) for asset in assets)
        self._by_prefix = PrefixMap(
            (network, _make_info(network, covering)) for network, covering in merged
        )
        self.address_info = FunctionCache(self._find, CACHED_ADDRESSES).__getitem__

    def _find(self, address: str) -> AddressInfo:
        """The information about a canonical address."""
        return self._by_prefix.get(address, _OUTSIDE)


def _make_info(network: Network, covering: list[Asset]) -> AddressInfo:
    home = [asset for asset in covering if not asset.whitelisted]
    names = [asset.name for asset in covering if asset.network == network and is_host(network)]
    networks = (str(asset.network) for asset in home if not is_host(asset.network))
    return AddressInfo(
        home=bool(home),
        whitelisted=len(home) < len(covering),
        value=max((asset.value for asset in home), default=0),
        name=names[0] if names else "",
        networks=tuple(dict.fromkeys(networks)),
    )
