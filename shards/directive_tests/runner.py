"""Runs tests of directives: events through a correlator, and alarms against expectations."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.correlation.outputs import Outputs
from engine.errors import InvalidEventError
from shards.config.config_folder import Config, ConfigReader, config_files
from shards.config.problem import ProblemList
from shards.directive_tests.coverage import Coverage
from shards.directive_tests.loader import LoadedFile, LoadedTest
from shards.directive_tests.outcome import Failure, RaisedAlarms, TestOutcome
from shards.directive_tests.test_events import TestEvents
from shards.directive_tests.test_file import parse_duration
from shards.directive_tests.test_replay import CoverageReplay, TestReplay
from shards.errors import PathError
from shards.replay.event_replay import Replay
from shards.replay.explaining_replay import ExplainingReplay
from shards.settings.settings import Settings

_EVENTS_PER_TURN = 1000
"""Number of events whose outputs are taken together."""
MAX_FAILURES = 20
"""Failures of one test that are kept."""
ConfigKey = tuple[Path, Path | None]


class TestRunner:
    """Runs tests; reads each folder of directives once.

    `problems`: those of the config folders; `coverage`: of each folder, if it is wanted.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._configs: dict[ConfigKey, Config | None] = {}
        self.problems = ProblemList()
        self.coverage: defaultdict[Path, Coverage] = defaultdict(Coverage)

    def load_config(self, file: LoadedFile) -> Config | None:
        """The config for a file of tests; None if it has faults, which are among the problems.

        PathError if it cannot be read.
        """
        key = (file.path.parent, file.assets)
        if key not in self._configs:
            self._configs[key] = self._read_config(*key)
        return self._configs[key]

    def _read_config(self, folder: Path, assets: Path | None) -> Config | None:
        reader = ConfigReader(self._settings, problems=self.problems)
        files = config_files(folder)
        if assets is not None:
            files["assets"] = [assets]
        reader.read_files(files, folder)
        if reader.faulty:
            return None
        return Config(tuple(reader.directives), tuple(reader.assets))

    def run(self, loaded: LoadedTest, config: Config) -> TestOutcome:
        """Run one test."""
        started = time.perf_counter()
        if self._settings.coverage:
            folder = self.coverage[loaded.file.parent]
            folder.add_directives(config.directives)
            replay: TestReplay = CoverageReplay(config, self._settings, folder)
        else:
            replay = TestReplay(config, self._settings)
        raised = RaisedAlarms()
        try:
            failures = _process(replay, loaded, raised.add)
            raised.opened.update(replay.take_opened())
            failures += raised.judge(loaded)
        except PathError as error:
            failures = [Failure(*loaded.position, str(error))]
        failures = failures[:MAX_FAILURES]
        explanation = self._explain(loaded, config, failures) if failures else ()
        seconds = time.perf_counter() - started
        return TestOutcome(loaded, seconds, tuple(failures), explanation)

    def _explain(
        self, loaded: LoadedTest, config: Config, failures: Iterable[Failure]
    ) -> tuple[str, ...]:
        """What became of the directives of failures, by running the test once more."""
        known = {directive.id for directive in config.directives}
        ids = dict.fromkeys(id_ for failure in failures for id_ in failure.directives)
        lines = [f"directive {id_} is not there, or disabled" for id_ in ids if id_ not in known]
        selected = [id_ for id_ in ids if id_ in known]
        if selected:
            replay = ExplainingReplay(config, self._settings, selected)
            _process(replay, loaded, lambda _: None)
            lines += [f"{one.directive} {one.name}: {one.sentence}" for one in replay.directives()]
        return tuple(lines)


def _process(replay: Replay, loaded: LoadedTest, take: Callable[[Outputs], None]) -> list[Failure]:
    """Pass the events of a test to a replay; returns a failure for each invalid one."""
    failures: list[Failure] = []
    for number, event in enumerate(TestEvents(loaded)):
        if number % _EVENTS_PER_TURN == 0:
            take(replay.take_outputs())
        try:
            replay.process_event(event)
        except InvalidEventError as error:
            if len(failures) < MAX_FAILURES:
                failures.append(Failure(event.line, event.column, f"invalid event: {error}"))
    if advance := parse_duration(loaded.test.advance):
        replay.clock.advance(replay.clock.now + advance)
    replay.finish()
    take(replay.take_outputs())
    return failures
