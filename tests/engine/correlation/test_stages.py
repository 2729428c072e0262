"""The stages of a directive: where backlogs wait, also those with other rules."""

import pytest

from engine.correlation import stages as module
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.snapshot import UnusableBacklogError
from engine.correlation.stages import Stages
from tests.support.directives import ASSETS, compiled, event, rule

OTHER_RULES = (rule(1), rule(2, to=":1", occurrence=2))


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
    stages, backlog = Stages(directive), opened(directive)
    stages.add(backlog)
    assert waiting(stages) == [2]
    stages.remove(backlog, 2)
    assert waiting(stages) == []


def test_with_all_rules_active_it_waits_at_the_earlier_stages_too() -> None:
    directive = compiled(rule(1), rule(2), rule(3), always_active=True)
    stages, backlog = Stages(directive), opened(directive)
    stages.add(backlog)
    assert waiting(stages) == [1, 2]
    backlog.consume(event(2, "f"), 2000)
    stages.advance(backlog, 2)
    assert waiting(stages) == [1, 2, 3]


def test_other_rules_have_stages_of_their_own_while_a_backlog_waits_there() -> None:
    directive = compiled()
    stages = Stages(directive)
    variant = stages.compile_rules(OTHER_RULES)
    assert variant is not directive
    backlog = opened(variant)
    stages.add(backlog)
    assert len(stages.searched) == 4
    assert stages.compile_rules(OTHER_RULES) is variant
    stages.remove(backlog, 2)
    assert len(stages.searched) == 2


def test_the_directive_s_own_rules_are_no_variant() -> None:
    directive = compiled()
    stages = Stages(directive)
    assert stages.compile_rules(()) is directive
    assert stages.compile_rules(directive.directive.rules) is directive


def test_the_number_of_variants_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VARIANTS", 3)
    stages = Stages(compiled())
    for timeout in (1, 2, 3):
        variant = stages.compile_rules((rule(1), rule(2, timeout=timeout)))
        stages.add(opened(variant, f"e{timeout}"))
    with pytest.raises(UnusableBacklogError, match="3 other sets of rules"):
        stages.compile_rules((rule(1), rule(2, timeout=4)))


def test_invalid_rules_are_refused() -> None:
    with pytest.raises(UnusableBacklogError, match="nor valid"):
        Stages(compiled()).compile_rules((rule(1), rule(2, to="nowhere")))
