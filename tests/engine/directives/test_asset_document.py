"""The document of assets. Each fault in it: tests/shards/commands."""

from ipaddress import IPv4Network

from engine.asset import Asset
from engine.directives.asset_document import parse_assets


def test_a_document_becomes_assets_with_networks_masked() -> None:
    document = b'{"assets": [{"name": "a", "cidr": "10.0.0.7/8", "value": 6}, {}]}'
    assets, findings = parse_assets(document)
    assert assets == [Asset("a", IPv4Network("10.0.0.0/8"), 6)]
    assert [(finding.code, finding.path) for finding in findings if finding.warning] == [
        ("host-bits", ("assets", 0, "cidr")),
        ("high-value", ("assets", 0, "value")),
    ]
    assert {finding.path for finding in findings if not finding.warning} == {("assets", 1)}


def test_the_values_of_the_risk_formula_have_no_warning() -> None:
    for value in range(1, 6):
        document = b'{"assets": [{"name": "a", "cidr": "::1/128", "value": %d}]}' % value
        assert parse_assets(document)[1] == []
