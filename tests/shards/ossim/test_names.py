"""What a name tells: kingdom, category, and variables that are not replaced."""

import pytest

from shards.ossim.names import kingdom_and_category, variables_not_replaced


@pytest.mark.parametrize(
    ("name", "kingdom", "category"),
    [
        ("AV Network scan, hosts from SRC_IP", "Reconnaissance & Probing", "Network scan"),
        ("AV-FREE-FEED Bruteforce attack, SSH", "Delivery & Attack", "Bruteforce attack"),
        ("AV Malware, scan by a worm", "System Compromise", "Malware"),
        ("Policy violation, Tor", "Environmental Awareness", "Policy violation"),
        ("Port scan from SRC_IP", "Reconnaissance & Probing", "OSSIM"),
        ("AVAST update, late", "Environmental Awareness", "AVAST update"),
        (", x", "Environmental Awareness", "OSSIM"),
        ("x" * 100_000, "Environmental Awareness", "OSSIM"),
        (" " * 100_000, "Environmental Awareness", "OSSIM"),
    ],
)
def test_kingdom_and_category(name: str, kingdom: str, category: str) -> None:
    assert kingdom_and_category(name) == (kingdom, category)


def test_variables_that_are_not_replaced() -> None:
    name = "SRC_IP to DST_IP:DST_PORT (PROTOCOL), DST_PORT, USERDATA4, MY_SENSOR_1"
    assert variables_not_replaced(name) == ["DST_PORT", "PROTOCOL", "USERDATA4"]
