"""The stages of a directive: where backlogs wait, also those under former definitions."""

import pytest

from engine.correlation import stages as module
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.former_definitions import FormerDefinitions
from engine.correlation.snapshot import UnusableBacklogError
from engine.correlation.stages import Stages
from engine.directives.index import DirectiveIndex
from tests.support.directives import ASSETS, compiled, directive, event, rule

OTHER = directive(rule(1), rule(2, to=":1", occurrence=2))


def stages_of(own: CompiledDirective) -> Stages:
    return Stages(own, FormerDefinitions(DirectiveIndex([])))


def opened(directive: CompiledDirective, id_: str = "e") -> Backlog:
    backlog = Backlog(directive, 0)
    first = event(1, id_)
    src, dst = ASSETS.address_info(first.src_ip), ASSETS.address_info(first.dst_ip)
    backlog.open(first, src, dst, 2000)
    return backlog


def waiting(stages: Stages) -> list[int]:
    """Numbers of the stages at which backlogs wait."""
    return [stage.number for stage in stages.searched if stage.waiting]


def test_a_backlog_waits_at_its_current_stage() -> None:
    directive = compiled()
    stages, backlog = stages_of(directive), opened(directive)
    stages.add(backlog)
    assert waiting(stages) == [2]
    stages.remove(backlog, 2)
    assert waiting(stages) == []


def test_with_all_rules_active_it_waits_at_the_earlier_stages_too() -> None:
    directive = compiled(rule(1), rule(2), rule(3), always_active=True)
    stages, backlog = stages_of(directive), opened(directive)
    stages.add(backlog)
    assert waiting(stages) == [1, 2]
    backlog.consume(backlog.stage, event(2, "f"), 2000)
    stages.advance(backlog, 2)
    assert waiting(stages) == [1, 2, 3]


def test_another_definition_has_stages_of_its_own_while_a_backlog_waits_there() -> None:
    own = compiled()
    stages = stages_of(own)
    former = stages.find_definition(OTHER)
    assert former is not own
    backlog = opened(former)
    stages.add(backlog)
    assert len(stages.searched) == 4
    assert stages.find_definition(OTHER) is former
    stages.remove(backlog, 2)
    assert len(stages.searched) == 2


def test_the_present_definition_is_no_former_one() -> None:
    own = compiled()
    stages = stages_of(own)
    assert stages.find_definition(own.directive) is own
    stages.add(opened(own))
    assert not own.former


def test_a_changed_definition_keeps_the_stages_at_which_backlogs_wait() -> None:
    own = compiled()
    stages, backlog = stages_of(own), opened(own)
    stages.add(backlog)
    present = stages.change_definition(OTHER)
    assert (present.directive, present.former, own.former) == (OTHER, False, True)
    assert len(stages.searched) == 4
    stages.remove(backlog, 2)
    assert len(stages.searched) == 2


def test_changed_back_the_former_definition_is_the_present_one_again() -> None:
    own = compiled()
    stages, backlog = stages_of(own), opened(own)
    stages.add(backlog)
    changed = stages.change_definition(OTHER)
    stages.add(opened(changed, "f"))
    assert stages.change_definition(own.directive) is own
    assert (own.former, changed.former) == (False, True)
    assert waiting(stages) == [2, 2]
    assert len(stages.searched) == 4


def test_the_number_of_restored_definitions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FORMER", 3)
    stages = stages_of(compiled())
    for timeout in (1, 2, 3):
        former = stages.find_definition(directive(rule(1), rule(2, timeout=timeout)))
        stages.add(opened(former, f"e{timeout}"))
    with pytest.raises(UnusableBacklogError, match="under 3 more already"):
        stages.find_definition(directive(rule(1), rule(2, timeout=4)))


@pytest.mark.parametrize(
    ("invalid", "reason"),
    [
        (directive(rule(1), rule(2, to="nowhere")), "to of stage 2 has"),
        (directive(rule(1), rule(3)), "stage of stage 3 is 3"),
        (directive(priority=9), "priority is 9"),
        (directive(name=""), "name is"),
    ],
)
def test_an_invalid_definition_is_refused(invalid: object, reason: str) -> None:
    with pytest.raises(UnusableBacklogError, match=f"nor valid: {reason}"):
        stages_of(compiled()).find_definition(invalid)  # type: ignore[arg-type]


def test_what_only_lenient_reading_permits_is_valid() -> None:
    permitted = directive(rule(1), rule(2, to=":2"))
    assert stages_of(compiled()).find_definition(permitted).directive == permitted
