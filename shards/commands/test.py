"""The test command: runs tests of directives, and writes new ones from recorded events."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from shards.commands.terminal import OutputConsole, print_error, print_json, print_line
from shards.config.config_folder import Config
from shards.config.problem import ProblemList
from shards.directive_tests.loader import LoadedTest, load_files
from shards.directive_tests.outcome import TestOutcome
from shards.directive_tests.report import TestReport, coverage_lines, failure_lines, github_problem
from shards.directive_tests.runner import TestRunner
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
from shards.safe_text import escape_control
from shards.settings.settings import Settings


def run(settings: Settings, names: Sequence[str]) -> int:
    """Run the tests of files and folders, or record one; returns the exit code."""
    paths = [Path(name) for name in names]
    try:
        if settings.record:
            from shards.commands.test_recording import record  # noqa: PLC0415 - rarely needed

            return record(settings, paths)
        return _run(settings, paths)
    except PathError as error:
        print_error(str(error))
        return NO_PATH


def _run(settings: Settings, paths: list[Path]) -> int:
    runner = TestRunner(settings)
    files = load_files(paths, runner.problems)
    configs = [runner.load_config(file) for file in files]
    _print_problems(runner.problems, settings)
    if runner.problems.faults:
        print_error("no test was run: there are faults")
        return INVALID
    started = time.perf_counter()
    all_tests: list[tuple[LoadedTest, Config]] = []
    for file, config in zip(files, configs, strict=True):
        if config is not None:
            all_tests += [(test, config) for test in file.tests]
    chosen = [(test, config) for test, config in all_tests if settings.keyword in test.test.name]
    outcomes = list(_outcomes(runner, chosen, settings))
    seconds = time.perf_counter() - started
    report = TestReport(
        outcomes,
        len(all_tests) - len(chosen),
        seconds,
        runner.coverage,
        not_run=len(chosen) - len(outcomes),
    )
    return _finish(report, settings)


def _print_problems(problems: ProblemList, settings: Settings) -> None:
    """Print what is wrong with the files of tests and with the configs."""
    for problem in problems.listed:
        print_error(str(problem))
        if settings.format == "github":
            print_line(github_problem(problem))
    if more := len(problems) - len(problems.listed):
        print_error(f"{more:,} more problems are not listed here")


def _outcomes(
    runner: TestRunner, chosen: list[tuple[LoadedTest, Config]], settings: Settings
) -> Iterator[TestOutcome]:
    """The outcome of each test; shows them as they come, if they are for people."""
    show = settings.format == "text"
    file: Path | None = None
    console = OutputConsole(highlight=False)
    for test, config in chosen:
        if show and test.file != file:
            start = "" if file is None else "\n"
            file = test.file
            console.print(Text(f"{start}{escape_control(str(file))} "), end="", soft_wrap=True)
        outcome = runner.run(test, config)
        if show:
            mark = Text("F", "bold red") if outcome.failures else Text(".", "green")
            console.print(mark, end="")
        yield outcome
        if outcome.failures and settings.fail_fast:
            break
    if show and chosen:
        console.print()


def _finish(report: TestReport, settings: Settings) -> int:
    """Print the report, write its files, and return the exit code."""
    if settings.format == "json":
        print_json(report.as_document())
    elif settings.format == "github":
        for line in report.github_lines():
            print_line(line)
    else:
        _print_text(report, settings)
    if settings.junit:
        try:
            report.write_junit(settings.junit)
        except OSError as error:
            raise PathError(f"{settings.junit} cannot be written: {error.strerror}") from error
    if not report.outcomes:
        print_error("no test was run")
        return INVALID
    if report.covered < settings.fail_under:
        wanted = f"--fail-under wants {settings.fail_under} %"
        print_error(f"{report.covered:.1f} % of the stages are finished by tests, {wanted}")
        return INVALID
    return INVALID if report.failed else 0


def _print_text(report: TestReport, settings: Settings) -> None:
    console = OutputConsole(highlight=False)
    for outcome in report.failed:
        for line in failure_lines(outcome):
            style = "bold red" if line.startswith("FAILED") else ""
            console.print(Text(line, style), soft_wrap=True)
    if settings.coverage:
        for folder, coverage in report.coverage.items():
            console.print(Text(f"\n{escape_control(str(folder))}", "bold"), soft_wrap=True)
            for line in coverage_lines(coverage):
                console.print(Text(line), soft_wrap=True)
    if report.coverage:
        console.print(f"{report.covered:.1f} % of the stages are finished by tests")
    console.print(Text(report.summary, "red" if report.failed else "green"), soft_wrap=True)
