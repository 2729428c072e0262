"""Which goals are judged, and what was reached."""

from benchmarks.peers.comparison import Results
from benchmarks.peers.goals import Verdict, judge
from benchmarks.peers.life import LifeRun
from benchmarks.peers.losses import LossRun
from benchmarks.peers.rates import RateRun
from benchmarks.peers.steady import SteadyRun


def rate(backend: str, sustained: int, with_losses: int = 0) -> RateRun:
    lossy = with_losses or sustained
    return RateRun("directives", 100, backend, sustained=sustained, with_losses=lossy)


def verdicts(results: Results) -> dict[tuple[str, str | None], Verdict]:
    """The verdicts by figure and peer."""
    return {(verdict.goal.figure, verdict.goal.peer): verdict for verdict in judge(results)}


def test_each_peer_has_goals_of_its_own_and_its_losses_are_forgiven() -> None:
    peers = [rate("go", 100, 1000), rate("dsiem-rs", 3000), rate("rust", 1)]
    found = verdicts(Results({}, "defaults", rates=[rate("ours", 30_000, 60_000), *peers]))
    assert found.keys() == {("sustained", "go"), ("sustained", "dsiem-rs")}
    go, dsiem_rs = found["sustained", "go"], found["sustained", "dsiem-rs"]
    assert (go.reached, go.met) == (30, True)
    assert (dsiem_rs.reached, dsiem_rs.met) == (10, False)


def test_a_peer_that_sustains_no_rate_has_no_verdict_and_ours_misses_its_goals() -> None:
    assert verdicts(Results({}, "defaults", rates=[rate("ours", 1), rate("go", 0)])) == {}
    missed = verdicts(Results({}, "defaults", rates=[rate("ours", 0), rate("go", 1)]))
    assert not missed["sustained", "go"].met


def test_latencies_of_a_backend_that_does_not_keep_up_are_no_figures() -> None:
    fast = SteadyRun("steady", 1000, "ours", p50=1.0, p99=2.0, cores=0.1, kept_up=True)
    slow = SteadyRun("steady", 1000, "dsiem-rs", p50=0.5, p99=0.9, cores=0.2, kept_up=False)
    found = verdicts(Results({}, "defaults", steady=[fast, slow]))
    assert found.keys() == {("p50", None), ("p99", None)}
    assert all(verdict.met for verdict in found.values())
    late = SteadyRun("steady", 1000, "ours", p50=1.0, p99=2.0, cores=0.1, kept_up=False)
    found = verdicts(Results({}, "defaults", steady=[late]))
    assert not any(verdict.met for verdict in found.values())


def test_a_goal_is_for_the_median_of_the_repeats() -> None:
    runs = [LifeRun("life", 100, "ours", start=start, idle_mb=70.0) for start in (0.3, 0.2, 9.0)]
    found = verdicts(Results({}, "defaults", life=runs))
    assert found["start", None].reached == 0.3
    assert found["idle_mb", None].met


def test_losses_are_judged_by_what_was_killed() -> None:
    allowed = LossRun("losses", 2000, "ours", victim="all processes, core NATS", without_line=9)
    forbidden = LossRun("losses", 2000, "ours", victim="all processes, stream", without_line=9)
    assert judge(Results({}, "defaults", losses=[allowed])) == []
    found = verdicts(Results({}, "defaults", losses=[forbidden]))
    assert not found["without_line", None].met
    assert found["missing", None].met
