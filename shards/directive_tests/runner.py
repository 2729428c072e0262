"""Runs tests of directives: events through a correlator, and alarms against expectations."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from engine.correlation.outputs import Outputs
from engine.directives.directive import Directive
from engine.errors import InvalidEventError
from shards.config.config_files import config_files
from shards.config.config_folder import Config
from shards.config.config_reader import ConfigReader, collect_in
from shards.config.problem import ProblemList
from shards.directive_tests.coverage import Coverage
from shards.directive_tests.coverage_replay import CoverageReplay
from shards.directive_tests.loader import LoadedFile, LoadedTest
from shards.directive_tests.outcome import Failure, RaisedAlarms, TestOutcome
from shards.directive_tests.test_events import RecordingError, TestEvents
from shards.directive_tests.test_file import parse_duration
from shards.errors import PathError
from shards.replay.event_replay import Replay
from shards.replay.explaining_replay import ExplainingReplay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent

_EVENTS_PER_TURN = 1000
"""Number of events whose outputs are taken together."""
MAX_FAILURES = 20
"""Failures of one test that are kept; of the others their number."""
ConfigKey = tuple[Path, Path | None]


class TestRunner:
    """Runs tests; reads each folder of directives once.

    `problems`: those of the files; `coverage`: of each folder, if it is wanted.
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
        directives: list[Directive] = []
        reader = ConfigReader(self._settings, collect_in(directives), problems=self.problems)
        files = config_files(folder)
        if assets is not None and not _is_file(assets):
            raise PathError(f"{assets}, the assets of tests in {folder}, is no file")
        if assets is not None:
            files["assets"] = [assets]
        reader.read_files(files, folder)
        if reader.faulty:
            return None
        return Config(tuple(directives), tuple(reader.assets))

    def run(self, loaded: LoadedTest, config: Config) -> TestOutcome:
        """Run one test."""
        started = time.perf_counter()
        if self._settings.coverage or self._settings.fail_under:
            folder = self.coverage[loaded.file.parent]
            folder.add_directives(config.directives)
            replay: Replay = CoverageReplay(config, self._settings, folder)
        else:
            replay = Replay(config, self._settings)
        raised = RaisedAlarms()
        failures = list(_unknown_directives(loaded, config))
        try:
            failures += self._process(replay, loaded, raised.add)
            raised.opened.update(replay.opened)
            failures += raised.judge(loaded)
        except RecordingError as error:
            failures.append(Failure(*error.position, str(error)))
        if (more := len(failures) - MAX_FAILURES) > 0:
            shown = f"and {more:,} more failure{'' if more == 1 else 's'}"
            failures[MAX_FAILURES:] = [Failure(*loaded.position, shown)]
        explanation = self._explain(loaded, config, failures) if failures else ()
        seconds = time.perf_counter() - started
        return TestOutcome(loaded, seconds, tuple(failures), explanation)

    def _explain(
        self, loaded: LoadedTest, config: Config, failures: Iterable[Failure]
    ) -> tuple[str, ...]:
        """What became of the directives of failures, by running the test once more."""
        known = {directive.id for directive in config.directives}
        ids = dict.fromkeys(id_ for failure in failures for id_ in failure.directives)
        selected = [id_ for id_ in ids if id_ in known]
        if not selected:
            return ()
        replay = ExplainingReplay(config, self._settings, selected)
        try:
            self._process(replay, loaded, lambda _: None)
        except RecordingError:  # which is one of the failures
            return ()
        return tuple(f"{one.directive} {one.name}: {one.sentence}" for one in replay.directives())

    def _process(
        self, replay: Replay, loaded: LoadedTest, take: Callable[[Outputs], None]
    ) -> list[Failure]:
        """Pass the events of a test to a replay; returns a failure for each invalid one."""
        failures: list[Failure] = []
        for number, event in enumerate(TestEvents(loaded, self._settings.max_future)):
            if number % _EVENTS_PER_TURN == 0:
                take(replay.take_outputs())
            try:
                replay.process_event(event)
            except InvalidEventError as error:
                if len(failures) <= MAX_FAILURES:
                    failures.append(_invalid(loaded, event, error))
        if advance := parse_duration(loaded.test.advance):
            replay.clock.now += advance
        replay.finish()
        take(replay.take_outputs())
        return failures


def _invalid(loaded: LoadedTest, event: RecordedEvent, error: InvalidEventError) -> Failure:
    if event.file == str(loaded.file):
        return Failure(event.line, event.column, f"invalid event: {error}")
    return Failure(*loaded.position, f"invalid event at {event.place}: {error}")


def _unknown_directives(loaded: LoadedTest, config: Config) -> Iterator[Failure]:
    """A failure for each directive that the test names and nobody could fulfil or break."""
    known = {directive.id for directive in config.directives}
    message = "directive {} is not in the folder, or disabled"
    for expected, place in zip(loaded.test.expect, loaded.expectations, strict=True):
        if expected.directive not in known:
            yield Failure(*place, message.format(expected.directive))
    for directive in loaded.test.never:
        if directive not in known:
            yield Failure(*loaded.position, message.format(directive))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its name is too long, or its folder is closed
        return False
