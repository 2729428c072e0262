"""Findings: paths and warnings; invalid events: reason and detail."""

from engine.errors import Finding, InvalidEventError

FINDING = Finding("missing", "is missing", ("rules", 1), stage=2, field="from")


def test_a_prefix_is_added_to_the_path_only() -> None:
    moved = FINDING.with_prefix("directives", 0)
    assert moved.path == ("directives", 0, "rules", 1)
    assert moved.with_prefix() == moved
    assert (moved.stage, moved.field, moved.warning) == (2, "from", False)


def test_a_warning_states_its_consequence() -> None:
    warning = FINDING.as_warning("taken as ANY")
    assert (warning.warning, warning.message) == (True, "is missing; taken as ANY")
    assert not FINDING.warning


def test_an_invalid_event_has_reason_and_detail() -> None:
    error = InvalidEventError("bad_type", "plugin_id is text")
    assert (error.reason, error.detail) == ("bad_type", "plugin_id is text")
    assert str(error) == "bad_type: plugin_id is text"
