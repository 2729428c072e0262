"""The changes from one configuration to another."""

import pytest

from shards.config.generation import ConfigChanges, ConfigSummary


def summary(assets: int = 1, lookups: int = 0, **definitions: int) -> ConfigSummary:
    """A summary with definitions `d1=…`."""
    by_id = {int(name[1:]): definition for name, definition in definitions.items()}
    return ConfigSummary("", [list(by_id)], definitions=by_id, assets=assets, lookups=lookups)


def test_directives_are_added_changed_removed_or_unchanged() -> None:
    old = summary(d5=5, d4=4, d3=3, d2=2, d1=1)
    new = summary(d1=1, d2=20, d3=30, d7=7, d6=6, d5=5)
    assert ConfigChanges.between(old, new) == ConfigChanges([6, 7], [2, 3], [4], unchanged=2)


def test_from_nothing_all_is_new() -> None:
    assert ConfigChanges.between(None, summary(d2=2, d1=1, lookups=3)) == ConfigChanges(
        added=[1, 2], assets=True, lookups=True
    )
    assert not ConfigChanges.between(None, summary(d1=1)).lookups


@pytest.mark.parametrize(
    ("new", "is_any"),
    [
        (summary(d1=1), False),
        (summary(d1=2), True),
        (summary(), True),
        (summary(d1=1, d2=1), True),
        (summary(assets=2, d1=1), True),
        (summary(lookups=1, d1=1), True),
    ],
)
def test_whether_there_are_changes(new: ConfigSummary, is_any: bool) -> None:
    assert ConfigChanges.between(summary(d1=1), new).any is is_any
