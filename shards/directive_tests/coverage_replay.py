"""A replay that records what the events of tests cover."""

from engine.correlation.backlog import Backlog
from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.event import NormalizedEvent
from engine.explain.explainer import DirectiveVerdicts
from engine.explain.explaining_correlator import ExplainingCorrelator
from engine.options import Options
from shards.config.config_folder import Config
from shards.directive_tests.coverage import Coverage
from shards.replay.event_replay import Replay
from shards.settings.settings import Settings


class CoverageReplay(Replay):
    """As Replay; records what the events cover."""

    def __init__(self, config: Config, settings: Settings, coverage: Coverage) -> None:
        self._coverage = coverage
        super().__init__(config, settings)

    def _make_correlator(self, config: Config, options: Options) -> Correlator:
        correlator = _CoverageCorrelator(config.directives, self._assets, options)
        correlator.coverage = self._coverage
        correlator.listener = self._listen
        return correlator

    def _listen(self, event: NormalizedEvent, found: list[DirectiveVerdicts]) -> None:
        for of_directive in found:
            backlogs = self._correlator.backlogs_of(of_directive.directive)
            assert backlogs is not None
            for backlog, verdict in of_directive.verdicts:
                self._coverage.add(event, backlogs.compiled, backlog, verdict)


class _CoverageCorrelator(ExplainingCorrelator):
    coverage: Coverage

    def _expire(self, backlog: Backlog, now: int, outputs: Outputs) -> bool:
        stage = backlog.expiring_stage
        timed_out = super()._expire(backlog, now, outputs)
        self.coverage.add_timeout(backlog.compiled.directive, stage, finished=not timed_out)
        return timed_out
