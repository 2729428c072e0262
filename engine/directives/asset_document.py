"""Reads asset documents: JSON to assets, with every finding."""

from collections.abc import Iterator

import msgspec

from engine.address import Network, parse_network
from engine.asset import Asset
from engine.directives.field import Field
from engine.directives.json_document import (
    FieldTable,
    describe_value,
    parse_list,
    parse_object,
)
from engine.directives.text_patterns import NETWORK
from engine.errors import Finding, has_faults

HIGHEST_VALUE = 5
"""The highest asset value that the risk formula is made for; higher ones get a warning."""
ASSET_FIELDS = FieldTable(
    Field(
        "name",
        "str",
        required=True,
        filled=True,
        description="Shown in the titles of alarms, if the asset is a single address.",
    ),
    Field(
        "cidr",
        "str",
        required=True,
        filled=True,
        pattern=NETWORK,
        description="A network, or one IPv4 or IPv6 address.",
        examples=("10.0.0.0/8", "2001:db8::1"),
    ),
    Field(
        "value",
        "int",
        required=True,
        low=1,
        description=f"A factor of the risk, from 1 to {HIGHEST_VALUE}; a higher one is a warning.",
    ),
    Field(
        "whitelisted",
        "bool",
        description="Whether events with a src_ip in it are dropped; it is then not in HOME_NET.",
    ),
)


def parse_assets(data: bytes) -> tuple[list[Asset], list[Finding]]:
    """The assets of a document, and every finding, warnings included."""
    assets, findings = parse_asset_items(data)
    return list(assets.values()), findings


def parse_asset_items(data: bytes) -> tuple[dict[int, Asset], list[Finding]]:
    """As `parse_assets`, with the position of each asset in the document's list as its key."""
    items, findings = parse_list(data, "assets")
    assets: dict[int, Asset] = {}
    for position, raw in enumerate(items):
        asset, found = _read_asset(raw)
        findings += [finding.with_prefix("assets", position) for finding in found]
        if asset is not None:
            assets[position] = asset
    return assets, findings


def _read_asset(raw: msgspec.Raw) -> tuple[Asset | None, list[Finding]]:
    item, findings = parse_object(raw)
    if item is None:
        return None, findings
    values, found = ASSET_FIELDS.read(item)
    findings += found
    cidr = values.get("cidr")
    network, masked = _read_network(cidr)
    if cidr is not None and network is None:
        findings.append(_not_a_network(cidr))
    findings += (*_host_bits(cidr, network, masked), *_high_value(values.get("value")))
    if network is None or has_faults(findings):
        return None, findings
    return Asset(values["name"], network, values["value"], values["whitelisted"]), findings


def _read_network(cidr: str | None) -> tuple[Network | None, bool]:
    try:
        return (None, False) if cidr is None else parse_network(cidr)
    except ValueError:
        return None, False


def _not_a_network(cidr: str) -> Finding:
    message = f"is {describe_value(cidr)}, must be a CIDR or IP, such as 10.0.0.0/8 or 2001:db8::1"
    return Finding("bad-address", message, ("cidr",), field="cidr")


def _host_bits(cidr: str | None, network: Network | None, masked: bool) -> Iterator[Finding]:
    if masked:
        message = f"is {describe_value(cidr)}, has host bits set: taken as {network}"
        yield Finding("host-bits", message, ("cidr",), field="cidr", warning=True)


def _high_value(value: int | None) -> Iterator[Finding]:
    if value is not None and value > HIGHEST_VALUE:
        message = f"is {value}, should be from 1 to {HIGHEST_VALUE}"
        yield Finding("high-value", message, ("value",), field="value", warning=True)
