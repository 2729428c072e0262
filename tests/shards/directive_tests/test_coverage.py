"""Which stages tests cover: absent ones, and those in any order."""

from engine.correlation.any_order_backlog import AnyOrderBacklog
from engine.explain.verdict import Verdict
from shards.directive_tests.coverage import Coverage
from tests.support.directives import ASSETS, compiled, event, rule

MADE = compiled(rule(1), rule(2, absent=True), rule(3), any_order=True)
IN_ORDER = compiled(rule(1), rule(2, absent=True), rule(3))


def words(coverage: Coverage) -> list[str]:
    return list(map(str, coverage.stages[7]))


def test_with_any_order_the_opening_event_reaches_all_stages() -> None:
    coverage = Coverage()
    coverage.add_directives([MADE.directive])
    coverage.add(event(1), MADE, None, Verdict("opened", 7, 1))
    assert words(coverage) == ["finished", *["reached, never finished"] * 2]
    backlog = AnyOrderBacklog(MADE, 0)
    info = ASSETS.address_info("10.0.0.5")
    backlog.open(event(1), info, info, 1000)
    coverage.add(event(2), MADE, backlog, Verdict("averted", 7, 2))
    coverage.add(event(3), MADE, backlog, Verdict("finished", 7, 3))
    assert words(coverage) == ["finished", "averted", "finished"]


def test_the_timeout_of_an_absent_stage_finishes_it_and_reaches_the_next_one() -> None:
    coverage = Coverage()
    coverage.add_directives([IN_ORDER.directive])
    coverage.add(event(1), IN_ORDER, None, Verdict("opened", 7, 1))
    coverage.add_timeout(IN_ORDER.directive, 2, finished=True)
    assert words(coverage) == ["finished", "finished", "reached, never finished"]
    coverage.add_timeout(IN_ORDER.directive, 3, finished=False)
    assert words(coverage)[2] == "timed out"
