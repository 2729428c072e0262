"""The test command on hostile files: one line for each fault with its place, never a traceback."""

import gzip
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.config.problem import MAX_LISTED
from shards.directive_tests import loader
from shards.directive_tests.yaml_document import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from tests.support.directive_testing import FILE, HEAD, LOGINS, RunTests, running_tests
from tests.support.replaying import LOGIN, event, ndjson, write_config

GOOD = f"{HEAD}  - {{name: t, events: {LOGINS}, other: allowed}}\n"


@pytest.fixture
def run_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunTests]:
    yield from running_tests(tmp_path, monkeypatch, capsys)


WHOLE_FILES: dict[str, tuple[str | bytes, str, str]] = {
    "nothing": ("", "1:1", "is empty, must be a mapping with the key tests"),
    "a comment": ("# tests\n", "1:1", "is empty, must be a mapping with the key tests"),
    "null": ("~", "1:1", "is empty, must be a mapping with the key tests"),
    "a list": ("- a", "1:1", "is a list, must be a mapping with the keys of a file of tests"),
    "a text": ("a", "1:1", "is a text, must be a mapping with the keys of a file of tests"),
    "no tests": ("{}", "1:1", "is missing in a file of tests"),
    "Latin-1": (b"# caf\xe9", "1:6", "is not UTF-8: byte 0xe9, must be saved as UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "1:1", "is not UTF-8: byte 0xff, must be saved as UTF-8"),
    "cut": (b"a: 1\nb: \xc3", "2:4", "is not UTF-8: byte 0xc3, must be saved as UTF-8"),
    "zero": ("a: b\0", "1:5", "has the character U+0000, must be an escape"),
    "escape": ("a: 1\nb: \x1b", "2:4", "has the character U+001B, must be an escape"),
    "half": ('a: "\\ud800"', "1:7", "is not YAML: found invalid Unicode character escape code"),
    "tab": ("a:\n\t- b", "2:1", "is not YAML: found character that cannot start any token"),
    "open": ("a: [b", "2:1", "is not YAML: did not find expected ',' or ']'"),
    "two documents": ("a: 1\n---\na: 2\n", "2:1", "has several documents, must be one"),
    "an unknown alias": ("a: *b", "1:4", "is not YAML: found undefined alias"),
    "a key twice": ("a: 1\nb: 2\na: 3", "3:1", "the key 'a' is there twice"),
    "a list as key": ("? [a]\n: b", "1:3", "a key must be a text"),
    "a mapping as key": ("? {a: b}\n: b", "1:3", "a key must be a text"),
    "python/object": (
        'a: !!python/object/apply:os.system ["touch owned"]',
        "1:4",
        "the tag !!python/object/apply:os.system cannot be used here, must be left out",
    ),
    "python/name": (
        "a: !!python/name:os.system",
        "1:4",
        "the tag !!python/name:os.system cannot be used here, must be left out",
    ),
    "set": ("a: !!set {b}", "1:4", "the tag !!set cannot be used here, must be left out"),
    "binary": ("a: !!binary AA==", "1:4", "the tag !!binary cannot be used here, must be left out"),
    "own": ("a: !own b", "1:4", "the tag !own cannot be used here, must be left out"),
    "long tag": (
        f"a: !{'b' * 900} b",
        "1:4",
        f"the tag !{'b' * 49} cannot be used here, must be left out",
    ),
}


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_that_is_no_file_of_tests(name: str, run_tests: RunTests) -> None:
    content, place, message = WHOLE_FILES[name]
    result = run_tests(content)
    [problem] = result.problems
    assert problem.startswith(f"{FILE}:{place}")
    assert problem.endswith(f": {message}")
    assert result.code == 1
    assert not Path("owned").exists()


def test_a_byte_order_mark_is_no_fault(run_tests: RunTests) -> None:
    assert run_tests(b"\xef\xbb\xbf" + GOOD.encode()).code == 0


BOMBS = {
    "flow lists": "[" * 1_000_000,
    "flow mappings": "{a: " * 1_000_000,
    "dashes": "- " * 1_000_000,
    "a list in itself": "&a [*a]",
    "a mapping in itself": "&a {a: *a}",
    "a test in itself": "tests: &a [{name: b, events: *a}]",
    "lists in lists": "".join(f"{'  ' * depth}-\n" for depth in range(MAX_DEPTH + 2)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_nesting_is_bounded(name: str, run_tests: RunTests) -> None:
    [problem] = run_tests(BOMBS[name]).problems
    assert problem.endswith(f"is nested too deep, must be at most {MAX_DEPTH} levels")


def test_values_are_bounded_with_those_that_aliases_repeat(run_tests: RunTests) -> None:
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    [problem] = run_tests(laughs).problems
    assert problem.endswith(f"has more than {MAX_VALUES:,} values, with those of aliases")
    [problem] = run_tests("- a\n" * (2 * MAX_VALUES + 1)).problems
    assert problem.endswith(f"has more than {MAX_VALUES:,} values")


def test_the_size_is_bounded(run_tests: RunTests) -> None:
    assert run_tests(GOOD + "#" * (MAX_BYTES - len(GOOD))).code == 0
    [problem] = run_tests(GOOD + "#" * (MAX_BYTES - len(GOOD) + 1)).problems
    assert problem.endswith("is larger than 4 MiB")


@pytest.mark.parametrize("value", ["1" + ":1" * 500_000, "9" * 1_000_000, "0x" + "f" * 1_000_000])
def test_numbers_that_take_long_to_compute_are_texts(value: str, run_tests: RunTests) -> None:
    started = time.process_time()
    result = run_tests.of_one(f"[{{plugin_sid: 1, title: {value}}}]", "other: allowed")
    assert time.process_time() - started < 10
    assert result.code == 0


EVENT_FAULTS = {
    "plugin_sidd: 1": ("4:15", "plugin_sidd", "not a known key of an event; the nearest known one"),
    "<<: 1": ("4:15", "<<", "is not a known key of an event; merging is not supported"),
    "at: [1]": ("4:19", "at", "is a list, must be a whole number or a text"),
    "at: soon": ("4:19", "at", "is 'soon', must be seconds, or a text like 90s, 5m, 1h30m, 2d"),
    "at: -1": ("4:19", "at", "is -1, must be from 0 s to ten years"),
    "at: 4000d": ("4:19", "at", "is '4000d', must be from 0 s to ten years"),
    "at: 1:30": ("4:19", "at", "is '1:30', must be seconds, or a text like 90s, 5m, 1h30m, 2d"),
    "at: 1.5": ("4:19", "at", "is '1.5', must be seconds, or a text like 90s, 5m, 1h30m, 2d"),
    "at: ": ("4:19", "at", "is empty, must be a whole number or a text"),
    "every: 1w": ("4:22", "every", "is '1w', must be seconds, or a text like 90s, 5m, 1h30m, 2d"),
    "repeat: 0": ("4:23", "repeat", "is 0, must be at least 1"),
    "repeat: 10000001": ("4:23", "repeat", "is 10000001, must be at most 10,000,000"),
    "repeat: many": ("4:23", "repeat", "is 'many', must be a whole number"),
    "repeat: 5000, every: 1d": ("4:23", "repeat", "is 5000: the events last longer than ten years"),
    "plugin_id: x": ("4:26", "plugin_id", "is 'x', must be a whole number"),
    "plugin_id: -1": ("4:26", "plugin_id", "is -1, must be at least 0"),
    "dst_port: 65536": ("4:25", "dst_port", "is 65536, must be at most 65,535"),
    "dst_port: '70000'": ("4:25", "dst_port", "must be at most 65,535"),
    "title: [x]": ("4:22", "title", "is a list, must be a text"),
    "title: {x: y}": ("4:22", "title", "is a mapping, must be a text"),
    "file: 5": ("4:21", "file", "is 5, must be a text"),
    "file: x, at: 1": ("4:28", "at", "is beside file, whose events have times and values of their"),
    'file: "a\\0b"': ("4:21", "file", "is 'a\\x00b', must be a path"),
}


@pytest.mark.parametrize("values", EVENT_FAULTS)
def test_faults_of_an_event(values: str, run_tests: RunTests) -> None:
    place, field, message = EVENT_FAULTS[values]
    result = run_tests.of_one(f"[{{{values}}}]")
    [problem] = result.problems
    assert problem.startswith(f"{FILE}:{place}")
    assert f" {field}: " in problem
    assert message in problem
    assert problem.endswith(" (test 't')")
    assert result.code == 1


TEST_FAULTS = {
    "expects: []": ("expects", "is not a known key of a test; the nearest known one is expect"),
    "name: [a]": ("name", "the key 'name' is there twice"),
    "advance: never": ("advance", "is 'never', must be seconds, or a text like"),
    "order: reverse": ("order", "is 'reverse', must be time or listed"),
    "other: ignored": ("other", "is 'ignored', must be forbidden or allowed"),
    "never: 5": ("never", "is 5, must be a list"),
    "never: [x]": ("never", "is 'x', must be a whole number"),
    f"never: {list(range(201))}": ("never", "has 201 entries, must have at most 200"),
    "expect: ": ("expect", "is empty, must be a list"),
    "expect: {directive: 1}": ("expect", "is a mapping, must be a list"),
    "expect: [x]": ("expect", "is a text, must be a mapping with the keys of an expectation"),
    "expect: [{}]": ("directive", "is missing in an expectation"),
    "expect: [{directive: 0}]": ("directive", "is 0, must be at least 1"),
    "expect: [{directive: x}]": ("directive", "is 'x', must be a whole number"),
    "expect: [{directive: 1, count: -1}]": ("count", "is -1, must be at least 0"),
    "expect: [{directive: 1, risk: 11}]": ("risk", "is 11, must be at most 10"),
    "expect: [{directive: 1, risk: high}]": ("risk", "is 'high', must be a whole number"),
    "expect: [{directive: 1, risk_class: high}]": (
        "risk_class",
        "is 'high', must be Low, Medium or High",
    ),
    "expect: [{directive: 1, stages: [done]}]": (
        "stages",
        "is 'done', must be finished, timeout, open or none",
    ),
    "expect: [{directive: 1, stages: finished}]": ("stages", "is 'finished', must be a list"),
    "expect: [{directive: 1, title: [x]}]": ("title", "is a list, must be a text"),
    "expect: [{directive: 1, src_ips: {}}]": ("src_ips", "is a mapping, must be a text or a list"),
    "expect: [{directive: 1, custom_data: [{a: [b]}]}]": ("custom_data", "must be a text"),
    "expect: [{directive: 1, intel_hits: []}]": ("intel_hits", "is not a known key of an expec"),
}


@pytest.mark.parametrize("line", TEST_FAULTS)
def test_faults_of_a_test(line: str, run_tests: RunTests) -> None:
    field, message = TEST_FAULTS[line]
    result = run_tests(f"{HEAD}  - name: t\n    events: {LOGINS}\n    {line}\n")
    [problem] = result.problems
    assert problem.startswith(f"{FILE}:5:")
    assert f" {field}: " in problem or field in message
    assert message in problem
    assert result.code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tests: []", "tests: is empty, must not be"),
        ("tests: {}", "tests: is a mapping, must be a list"),
        ("tests: [x]", "tests: is a text, must be a mapping with the keys of a test"),
        ("tests: [{events: [{}]}]", "name: is missing in a test"),
        ("tests: [{name: '', events: [{}]}]", "name: is empty, must not be (test '')"),
        ("tests: [{name: a}]", "events: is missing in a test (test 'a')"),
        ("tests: [{name: a, events: }]", "events: is empty, must be a list (test 'a')"),
        ("tests: [{name: a, events: []}]", "events: is empty, must not be (test 'a')"),
        ("tests: [{name: a, events: [[]]}]", "is a list, must be a mapping with the keys of an ev"),
        (
            "tests: [{name: a, events: [{}]}]\ndefaults: []",
            "defaults: is a list, must be a mapping",
        ),
        (
            "tests: [{name: a, events: [{}]}]\ndefaults: {at: 1}",
            "at: is not a known key of an even",
        ),
        ("tests: [{name: a, events: [{}]}]\ndefaults: {src_port: x}", "src_port: is 'x', must be"),
        ("tests: [{name: a, events: [{}]}]\nassets: 1", "assets: is 1, must be a text"),
        (
            "tests: [{name: a, events: [{}]}]\nteste: 1",
            "is not a known key of a file of tests; the",
        ),
    ],
)
def test_faults_of_a_file(text: str, message: str, run_tests: RunTests) -> None:
    [problem] = run_tests(text).problems
    assert message in problem


def test_all_faults_of_a_file_are_named(run_tests: RunTests) -> None:
    text = """
tests:
  - name: one
    event: []
  - name: two
    events: [{sid: 1, at: x}, {repeat: 0}]
    expect: [{directive: 1, stagess: []}]
"""
    places = [problem.split(" ")[0] for problem in run_tests(text).problems]
    expected = ["3:5", "4:5", "6:15", "6:27", "6:40", "7:29"]
    assert sorted(place.removeprefix(f"{FILE}:").rstrip(":") for place in places) == expected


def test_events_of_a_test_are_bounded_with_their_repeats(run_tests: RunTests) -> None:
    [problem] = run_tests.of_one("[{repeat: 9000000}, {repeat: 1000001}]").problems
    assert "events: are 10,000,001 with all repeats, must be at most 10,000,000" in problem


def test_lists_are_bounded(run_tests: RunTests) -> None:
    [problem] = run_tests.of_one(f"[{', '.join(['{}'] * 10_001)}]").problems
    assert "events: has 10,001 entries, must have at most 10,000" in problem


def test_problems_that_are_printed_are_bounded(run_tests: RunTests) -> None:
    keys = "".join(f"k{n}: 1\n" for n in range(MAX_LISTED + 20))
    problems = run_tests(f"tests: []\n{keys}").problems
    assert len(problems) == MAX_LISTED + 1
    assert problems[-1] == "21 more problems are not listed here"


HOSTILE_NAMES = [
    "x` - at `$.tests[0]",
    f"x` - at `$[{'9' * 6000}]",
    "\\e[31m\\r\\n::error::x",
    "\\u202e\\u0000\\ufffe",
    "%s {} [bold]x[/bold] \\\\",
    "😀",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_of_keys_and_values(name: str, run_tests: RunTests) -> None:
    key = name[:100]
    for text in (
        f'tests: [{{"{key}": 1, name: "{name}", events: [{{"{key}": 1}}]}}]',
        f'tests: [{{name: "{name}", events: [{{at: "{name}"}}]}}]\n"{key}": 1',
        f'tests: [{{name: a, events: [{{}}], expect: [{{directive: 1, stages: ["{name}"]}}]}}]',
        f'tests: [{{name: a, events: [{{}}], order: "{name}"}}]',
    ):
        problems = run_tests(text).problems
        assert problems
        assert all(problem.startswith(f"{FILE}:") and problem.isprintable() for problem in problems)
        assert all(len(problem) < 500 for problem in problems)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("format_", ["text", "json", "github"])
def test_hostile_names_of_tests_and_values(name: str, format_: str, run_tests: RunTests) -> None:
    text = f'{HEAD}  - {{name: "{name}", events: [{{plugin_sid: 1, custom_data1: "{name}"}}], '
    text += f'expect: [{{directive: 1, title: "{name}"}}]}}\n'
    result = run_tests(text, "--junit", "junit.xml", "--coverage", "--format", format_)
    assert all(line.isprintable() for line in result.out.splitlines())
    assert not any(line.startswith("::error::") for line in result.out.splitlines())
    assert result.code == 1


def test_hostile_names_of_directives(run_tests: RunTests) -> None:
    config = json.loads(Path("conf/directives_a.json").read_text())
    config["directives"][0]["name"] = "\x1b[31m\r\n[bold]x\u202e%"
    write_config(config["directives"])
    for format_ in ("text", "json", "github"):
        result = run_tests(
            f"{HEAD}  - {{name: t, events: {LOGINS}}}", "--coverage", "--format", format_
        )
        assert all(line.isprintable() for line in result.out.splitlines())
        assert result.code == 1


def test_a_file_name_that_is_not_utf8(run_tests: RunTests) -> None:
    name = os.fsdecode(b"conf/\xff\x1b[31m_test.yaml")
    Path(name).write_text(f"{HEAD}  - {{name: t, events: {LOGINS}}}")
    for format_ in ("text", "json", "github"):
        result = run_tests.of("conf", "--junit", "junit.xml", "--coverage", "--format", format_)
        assert all(line.isprintable() for line in result.out.splitlines())
        assert result.code == 1


# Files that are read.


def test_a_file_name_is_shown_as_it_is(run_tests: RunTests) -> None:
    folder = Path("conf") / ("[bold]:smile:" * 15)
    folder.mkdir()
    for name in ("assets_a.json", "directives_a.json"):
        (folder / name).write_bytes((Path("conf") / name).read_bytes())
    (folder / "a_test.yaml").write_text(GOOD)
    assert run_tests.of("conf").out.splitlines()[0] == f"{folder}/a_test.yaml ."


def test_a_recorded_file_that_is_missing(run_tests: RunTests) -> None:
    result = run_tests.of_one("[{file: nowhere.ndjson}]")
    assert result.messages == ["conf/nowhere.ndjson cannot be read: No such file or directory"]
    assert result.code == 1


@pytest.mark.parametrize("file", ["/dev/zero", "../pipe", ".", "a" * 300, "/proc/self/mem"])
def test_a_recorded_file_that_is_none(file: str, run_tests: RunTests) -> None:
    os.mkfifo("pipe")
    result = run_tests.of_one(f"[{{file: {file}}}]")
    assert len(result.messages) == 1
    assert result.code == 1


def test_a_recorded_file_that_is_damaged(run_tests: RunTests) -> None:
    events = (event(f"e{n}", n, LOGIN, title=os.urandom(9).hex()) for n in range(2000))
    data = gzip.compress(ndjson(*events))
    Path("conf/cut.ndjson.gz").write_bytes(data[: len(data) // 2])
    messages = run_tests.of_one("[{file: cut.ndjson.gz}]", "other: allowed").messages
    assert len(messages) == 1
    assert messages[0].startswith("conf/cut.ndjson.gz cannot be read to its end: ")


def test_recorded_events_of_the_end_of_time(run_tests: RunTests) -> None:
    for timestamp in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        Path("conf/odd.ndjson").write_bytes(ndjson(event("a", 0, LOGIN, timestamp=timestamp)))
        steps = "[{file: odd.ndjson}, {at: 3650d, plugin_sid: 2, repeat: 2, every: 1000d}]"
        assert run_tests.of_one(steps, "other: allowed\nadvance: 3650d").code == 0


def test_pipes_and_broken_links_are_no_files_of_tests(run_tests: RunTests) -> None:
    os.mkfifo("conf/pipe_test.yaml")
    result = run_tests.of("conf")
    assert result.err == "conf/pipe_test.yaml is no file\n"
    assert result.code == 2
    Path("conf/pipe_test.yaml").unlink()
    Path("conf/a_test.yaml").symlink_to("nowhere")
    assert run_tests.of("conf").err == "conf/a_test.yaml is missing\n"


def test_a_file_that_cannot_be_read(run_tests: RunTests) -> None:
    Path("conf/a_test.yaml").symlink_to("/proc/self/mem")
    result = run_tests.of("conf")
    assert result.err == "conf/a_test.yaml cannot be read: Input/output error\n"
    assert result.code == 2


def test_a_name_that_is_too_long(run_tests: RunTests) -> None:
    result = run_tests.of("a" * 300)
    assert result.err == f"{'a' * 300} cannot be read: File name too long\n"
    assert result.code == 2


def test_links_in_a_circle(run_tests: RunTests) -> None:
    Path("conf/loop").symlink_to("../conf")
    Path("conf/self_test.yaml").symlink_to("self_test.yaml")
    Path("conf/a_test.yaml").write_text(GOOD)
    assert run_tests.of("conf/self_test.yaml").code == 2
    Path("conf/self_test.yaml").unlink()
    result = run_tests.of("conf", "--format", "json")
    assert [test["file"] for test in result.document["tests"]] == ["conf/a_test.yaml"]


def test_deep_folders(run_tests: RunTests) -> None:
    top = Path.cwd()
    for _ in range(1200):
        Path("a").mkdir()
        os.chdir("a")
    os.chdir(top)
    result = run_tests.of("a")
    subprocess.run(["rm", "-rf", "a"], check=True)  # pytest cannot
    assert result.err == "a holds no tests, must hold *_test.yaml or *_test.yml\n"
    assert result.code == 2


def test_files_and_their_content_are_bounded(
    run_tests: RunTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        Path(f"conf/{name}_test.yaml").write_text(GOOD)
    monkeypatch.setattr(loader, "MAX_FILES", 3)
    monkeypatch.setattr(loader, "MAX_LOADED", 9)
    assert run_tests.of("conf").code == 0
    monkeypatch.setattr(loader, "MAX_LOADED", 8)
    result = run_tests.of("conf")
    assert result.err == "there are more than 8 events and expectations in tests\n"
    assert result.code == 2
    monkeypatch.setattr(loader, "MAX_FILES", 2)
    assert run_tests.of("conf").err == "there are more than 2 files of tests\n"


@pytest.mark.parametrize("content", [None, gzip.compress(b"x" * 100, mtime=0)[:-5]])
def test_a_recording_that_cannot_be_read_is_named_where_the_test_names_it(
    content: bytes | None, run_tests: RunTests
) -> None:
    if content is not None:
        Path("conf/recorded.gz").write_bytes(content)
    result = run_tests(f"{HEAD}- name: t\n  events:\n  - {{file: recorded.gz}}\n")
    assert result.code == 1
    assert f"{FILE}:5:5: conf/recorded.gz cannot be read" in result.out
