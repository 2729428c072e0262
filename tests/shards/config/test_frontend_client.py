"""The configuration from the frontend: accepted and refused files, and start without it."""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from msgspec.structs import replace

from shards.config.config_files import FilesByKind
from shards.config.config_reader import ConfigReader
from shards.config.downloaded_files import MANIFEST, Download, FaultyConfigError
from shards.config.frontend_client import DownloadError, DownloadLimits, download_config
from shards.config.generation import LoadRequest
from shards.config.problem import ProblemList
from shards.errors import PathError
from shards.settings.settings import Settings
from tests.support.frontend import LIST, Frontend, Reply, list_of
from tests.support.serving import counting_directive

pytestmark = pytest.mark.integration  # real servers, and time limits

NODE = "n1"
FAST = DownloadLimits(first_delay=0.01, max_delay=0.05)
ASSETS = {"assets": [{"name": "lan", "cidr": "10.0.0.0/8", "value": 1}]}
OTHER_ASSETS = {"assets": [{"name": "lan", "cidr": "10.0.0.0/8", "value": 2}]}
DIRECTIVES = {"directives": [counting_directive(1)]}
OTHER_DIRECTIVES = {"directives": [counting_directive(2)]}
A, D = "assets_a.json", f"directives_{NODE}.json"
ENOUGH = 5.0
"""Seconds that no test takes unless it fails."""
RELOAD = LoadRequest(download=True, is_start=False, wait_seconds=ENOUGH)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk keeps without power is not tested here, and would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    """A frontend that serves a complete set."""
    with Frontend() as served:
        served.put(A, ASSETS)
        served.put(D, DIRECTIVES)
        yield served


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged, from info on: level, text and fields."""
    lines: list[str] = []
    form = "{level} {message} {extra}"
    sink = logger.add(lambda message: lines.append(str(message)), format=form, level="INFO")
    yield lines
    logger.remove(sink)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "conf"


def settings(frontend: Frontend | str, folder: Path, node: str = NODE) -> Settings:
    url = frontend if isinstance(frontend, str) else frontend.url
    return Settings(frontend=url, node=node, config_dir=folder)


def download(wanted: Settings, request: LoadRequest, limits: DownloadLimits = FAST) -> Download:
    """Download, and check what comes as a service does."""

    def check(files: FilesByKind) -> ProblemList:
        reader = ConfigReader(wanted)
        reader.read_files(files, wanted.config_dir)
        return reader.problems

    return download_config(wanted, request, check, limits=limits)


def fetch(
    frontend: Frontend | str, folder: Path, wait: float = ENOUGH, limits: DownloadLimits = FAST
) -> Download:
    """Download at a start."""
    request = LoadRequest(download=True, is_start=True, wait_seconds=wait)
    return download(settings(frontend, folder), request, limits)


def fetch_again(frontend: Frontend, folder: Path, wait: float = ENOUGH) -> Download:
    """Download at a reload."""
    request = LoadRequest(download=True, is_start=False, wait_seconds=wait)
    return download(settings(frontend, folder), request)


def failure(frontend: Frontend, folder: Path, limits: DownloadLimits = FAST) -> str:
    """What is said of an attempt that fails; and nothing is left of it."""
    request = LoadRequest(download=True, is_start=False, wait_seconds=0)
    with pytest.raises(DownloadError) as raised:
        download(settings(frontend, folder), request, limits)
    assert list(folder.iterdir()) == []
    return str(raised.value).removeprefix("the configuration cannot be downloaded: ")


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder, except the manifest; a folder in it is a mistake."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def manifest(folder: Path) -> set[str]:
    return set(json.loads((folder / MANIFEST).read_bytes())["files"])


def write(folder: Path, name: str, text: str = "{}") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


# What is taken.


def test_the_files_of_the_node_are_downloaded_and_logged(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    frontend.put("intel_x.json", {"intel_sources": []})
    frontend.put("vuln_x.json", {"vuln_sources": []})
    frontend.put(f"directives_{NODE}_more.json", OTHER_DIRECTIVES)
    fetch(frontend, folder)
    assert content(folder) == frontend.files
    assert manifest(folder) == set(frontend.files)
    [line] = log
    assert line.startswith("INFO configuration downloaded")
    assert "'files': 5" in line
    assert frontend.url in line


def test_it_is_asked_for_where_the_peers_ask(frontend: Frontend, folder: Path) -> None:
    fetch(frontend.url + "/", folder)
    assert [asked.path for asked in frontend.asked] == [LIST, LIST + A, LIST + D]


def test_a_login_is_used_and_never_shown(frontend: Frontend, folder: Path, log: list[str]) -> None:
    frontend.replies[LIST] = [Reply(503)]
    frontend.files["a/b"] = b""
    url = frontend.url_with_login("user:hunter2")
    fetch(url, folder)
    frontend.replies[LIST] = Reply(body=list_of())
    fetch(url, folder, wait=0)
    assert {asked.login for asked in frontend.asked} == {"user:hunter2"}
    assert len(log) == 5
    assert all("http://***@127.0.0.1" in line for line in log)
    assert "hunter2" not in "".join(log) + (folder / MANIFEST).read_text()


@pytest.mark.parametrize(
    "name",
    [
        *("directives_n2.json", "directives_.json", "assets.json", "assets_a.json.bak", ""),
        *("Assets_a.json", "xassets_a.json", "dsiem_config.json", ".downloaded.json"),
    ],
)
def test_what_is_not_for_the_node_is_ignored(name: str, frontend: Frontend, folder: Path) -> None:
    frontend.files[name] = b"{}"
    fetch(frontend, folder)
    assert content(folder).keys() == {A, D}
    assert len(frontend.asked) == 3


@pytest.mark.parametrize("name", ["directives_n10.json", "directives_n1.json.old", "directives_n1"])
def test_what_only_begins_like_its_directives_is_warned_of(
    name: str, frontend: Frontend, folder: Path, log: list[str]
) -> None:
    frontend.files[name] = b"{}"
    fetch(frontend, folder)
    assert content(folder).keys() == {A, D}
    warning, _ = log
    assert warning.startswith("WARNING")
    assert warning.endswith(f": {name} {{}}\n")


def test_the_name_of_a_node_is_no_pattern(frontend: Frontend, folder: Path, log: list[str]) -> None:
    frontend.put("directives_n.1.json", DIRECTIVES)
    frontend.put("directives_nx1.json", DIRECTIVES)
    node = settings(frontend, folder, node="n.1")
    download(node, RELOAD)
    assert content(folder).keys() == {A, "directives_n.1.json"}
    assert len(log) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("assets_../../../etc/passwd.json", "assets_../../../etc/passwd.json"),
        ("../assets_a.json", "../assets_a.json"),
        ("assets_a\x1b[2J.json", "assets_a\\x1b[2J.json"),
        ("assets_a.json\n", "assets_a.json\\n"),
        ("assets_a\x00.json", "assets_a\\x00.json"),
        ("assets_%2e%2e.json", "assets_%2e%2e.json"),
        ("assets_a.json?x", "assets_a.json?x"),
        ("assets_ä.json", "assets_ä.json"),
        ("directives_n1_a\\b.json", "directives_n1_a\\b.json"),
        (f"assets_{'x' * 300}.json", "assets_xxxx"),
    ],
)
def test_a_name_that_could_be_a_path_is_refused_and_the_others_go_on(
    name: str, shown: str, frontend: Frontend, folder: Path, log: list[str]
) -> None:
    frontend.files[name] = json.dumps(ASSETS).encode()
    fetch(frontend, folder)
    assert content(folder).keys() == {A, D}
    warning, done = log
    assert warning.startswith("WARNING")
    assert "refused" in warning
    assert shown in warning
    assert len(warning) < 500
    assert done.startswith("INFO")


def test_of_many_refused_names_the_first_are_named(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    frontend.files |= {f"assets_{n:04}/": b"" for n in range(1000)}
    fetch(frontend, folder)
    assert "assets_0009/ and 990 more" in log[0]


def test_a_name_that_is_listed_twice_is_downloaded_once(frontend: Frontend, folder: Path) -> None:
    frontend.replies[LIST] = Reply(body=list_of(A, D, A, D))
    fetch(frontend, folder)
    assert len(frontend.asked) == 3


def test_unknown_keys_are_ignored(frontend: Frontend, folder: Path) -> None:
    listed = {"files": [{"filename": name, "size": 1} for name in (A, D)], "more": [1]}
    frontend.replies[LIST] = Reply(body=json.dumps(listed).encode())
    frontend.put(A, ASSETS | {"more": 1})
    fetch(frontend, folder)


# What is broken.

HTML = b"<html><body>Welcome</body></html>"


@pytest.mark.parametrize(
    "body",
    [
        *(HTML, b"", b"[]", b"null", b"{}", b'{"files": null}', b'{"files": {}}'),
        *(b'{"files": ["assets_a.json"]}', b'{"files": [{"filename": 5}]}', b'{"files": [{}]}'),
        b'{"files": [{"filename": "assets_a.json"}]',
        b'{"files": [{"filename": "\xff"}]}',
        b'{"files": [{"filename": "\\ud800"}]}',
        b'{"files": ' + b"[" * 100_000,
    ],
)
def test_a_list_of_another_shape_is_broken(body: bytes, frontend: Frontend, folder: Path) -> None:
    frontend.replies[LIST] = Reply(body=body)
    text = failure(frontend, folder)
    assert text.startswith(f"{frontend.url}{LIST} is no list of files: ")
    assert 'must be like {"files": [{"filename": "assets_a.json"}]}' in text
    assert not body or f"it begins with: {body[:10].decode()}" in text


WITHOUT = [
    *(HTML, b"", b"null", b"[]", b"{}", b"[" * 100_000, b'{"rules": []}'),
    b'{"assets": {}, "directives": 5, "intel_sources": "x"}',
    b'{"assets": [1, "directives": [2, "intel_sources": [3}',
    b'{"assets": ["\xff"], "directives": ["\xff"], "intel_sources": ["\xff"]}',
]


@pytest.mark.parametrize("body", WITHOUT)
def test_a_file_without_its_list_is_broken(body: bytes, frontend: Frontend, folder: Path) -> None:
    keys = {A: "assets", D: "directives", "intel_a.json": "intel_sources"}
    for name, key in keys.items():
        frontend.replies = {LIST + name: Reply(body=body), LIST: Reply(body=list_of(A, D, name))}
        text = failure(frontend, folder)
        assert text.startswith(f'{frontend.url}{LIST}{name} is not like {{"{key}": [...]}}: ')
        assert not body or f"it begins with: {body[:9].decode()}" in text


def test_what_is_too_long_or_too_slow_is_broken(frontend: Frontend, folder: Path) -> None:
    assert "is too long, may have 50 bytes" in failure(
        frontend, folder, DownloadLimits(list_bytes=50)
    )
    assert "is too long, may have 50 bytes" in failure(
        frontend, folder, DownloadLimits(file_bytes=50)
    )
    assert "lists 2 files, may list 1" in failure(frontend, folder, DownloadLimits(files=1))
    slow = frontend.reply_to(LIST)._replace(drip=0.05)
    frontend.replies[LIST] = slow
    assert "did not come whole" in failure(frontend, folder, DownloadLimits(list_seconds=0.1))
    frontend.replies = {LIST + D: slow}
    assert "within 0.1 s" in failure(frontend, folder, DownloadLimits(file_seconds=0.1))


def test_a_file_that_is_listed_but_is_not_there(frontend: Frontend, folder: Path) -> None:
    frontend.replies[LIST] = Reply(body=list_of(A, D, "assets_b.json"))
    assert f"{LIST}assets_b.json is answered with status 404" in failure(frontend, folder)


@pytest.mark.parametrize(
    ("missing", "pattern"), [(A, "assets_*.json"), (D, "directives_n1_*.json")]
)
def test_a_list_without_what_a_node_needs_is_broken(
    missing: str, pattern: str, frontend: Frontend, folder: Path
) -> None:
    del frontend.files[missing]
    text = failure(frontend, folder)
    assert "for the node n1" in text
    assert pattern in text


@pytest.mark.parametrize("missing", [A, D])
def test_what_is_missing_may_be_there_by_hand(
    missing: str, frontend: Frontend, folder: Path
) -> None:
    own = f"{missing.partition('_')[0]}_own.json"
    write(folder, own, json.dumps(ASSETS if missing == A else OTHER_DIRECTIVES))
    del frontend.files[missing]
    fetch(frontend, folder)
    assert content(folder).keys() == {A, D, own} - {missing}


@pytest.mark.parametrize("left", [[], [A], [D]])
def test_a_frontend_that_was_emptied_does_not_empty_the_node(
    left: list[str], frontend: Frontend, folder: Path, log: list[str]
) -> None:
    fetch(frontend, folder)
    before = content(folder)
    frontend.files = {name: frontend.files[name] for name in left}
    log.clear()
    fetch(frontend, folder, wait=0)
    assert content(folder) == before
    assert [line.split()[0] for line in log] == ["WARNING", "WARNING"]


def test_until_all_has_come_the_old_set_stays(frontend: Frontend, folder: Path) -> None:
    mine = json.dumps(ASSETS)
    write(folder, "assets_own.json", mine)
    fetch(frontend, folder)
    before = content(folder)
    frontend.put("assets_new.json", ASSETS)
    frontend.put(D, OTHER_DIRECTIVES)
    del frontend.files[A]
    frontend.files[f"directives_{NODE}_z.json"] = b"broken"
    fetch(frontend, folder, wait=0)
    assert content(folder) == before
    del frontend.files[f"directives_{NODE}_z.json"]
    fetch(frontend, folder)
    assert content(folder) == {"assets_own.json": mine.encode(), **frontend.files}


# A set that has arrived and is faulty.


def visible(folder: Path) -> dict[str, bytes]:
    """All files of a folder, without the hidden ones and their folders."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


FAULTY = {"directives": [counting_directive(3) | {"priority": 9}]}


def check_set_aside(folder: Path, faulty: dict[str, bytes], problems: ProblemList) -> None:
    """Check that a faulty set is set aside with its only problem, which is the listed one."""
    aside = folder / ".faulty"
    [problem] = problems.listed
    assert problem.file == f"{aside}/{D}"
    assert "priority: is 9, must be a whole number from 1 to 5" in str(problem)
    files = content(aside)
    assert files.pop("problems.txt").decode() == f"{problem}\n"
    assert files == faulty
    assert not (folder / ".incoming").exists()


def test_a_start_with_a_faulty_set_uses_the_last_good_one(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    fetch(frontend, folder)
    before = visible(folder)
    frontend.put(D, FAULTY)
    frontend.put("assets_b.json", OTHER_ASSETS)
    log.clear()
    began = time.monotonic()
    outcome = fetch(frontend, folder)
    assert time.monotonic() - began < ENOUGH  # it does not wait for a better one
    assert not outcome.is_new
    assert outcome.trouble.endswith("the downloaded configuration has 1 fault")
    assert visible(folder) == before
    assert outcome.problems is not None
    check_set_aside(folder, frontend.files, outcome.problems)
    [used] = log
    assert used.startswith("WARNING starting with the configuration that was downloaded before")


def test_a_reload_with_a_faulty_set_fails_and_leaves_the_last_good_one(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    fetch(frontend, folder)
    before = visible(folder)
    frontend.put(D, FAULTY)
    log.clear()
    with pytest.raises(FaultyConfigError) as raised:
        fetch_again(frontend, folder)
    assert visible(folder) == before
    check_set_aside(folder, frontend.files, raised.value.problems)
    assert log == []


def test_a_first_set_that_is_faulty_is_not_installed(frontend: Frontend, folder: Path) -> None:
    frontend.put(D, FAULTY)
    with pytest.raises(FaultyConfigError, match="has 1 fault") as raised:
        fetch(frontend, folder)
    assert visible(folder) == {}
    check_set_aside(folder, frontend.files, raised.value.problems)


def test_a_faulty_set_that_was_set_aside_goes_with_the_next_one(
    frontend: Frontend, folder: Path
) -> None:
    fetch(frontend, folder)
    frontend.put(D, FAULTY)
    frontend.put("assets_b.json", OTHER_ASSETS)
    fetch(frontend, folder)
    del frontend.files["assets_b.json"]
    problems = fetch(frontend, folder).problems
    assert problems is not None
    check_set_aside(folder, frontend.files, problems)
    frontend.put(D, OTHER_DIRECTIVES)
    fetch(frontend, folder)
    assert content(folder) == frontend.files


def test_a_faulty_set_that_was_set_aside_goes_when_the_one_before_it_comes_again(
    frontend: Frontend, folder: Path
) -> None:
    fetch(frontend, folder)
    frontend.put(D, FAULTY)
    fetch(frontend, folder)
    frontend.put(D, DIRECTIVES)
    assert not fetch(frontend, folder).trouble
    assert content(folder) == frontend.files


def test_a_duplicate_id_is_reported_where_the_files_are_set_aside(
    frontend: Frontend, folder: Path
) -> None:
    other = f"directives_{NODE}_b.json"
    frontend.put(other, DIRECTIVES)
    with pytest.raises(FaultyConfigError) as raised:
        fetch(frontend, folder)
    [problem] = raised.value.problems.listed
    aside = folder / ".faulty"
    assert problem.file == f"{aside}/{other}"
    assert f"is 1 as in {aside}/{D}:1, must be unique" in str(problem)


def test_warnings_of_a_new_set_name_the_files_where_they_are(
    frontend: Frontend, folder: Path
) -> None:
    frontend.put(D, {"directives": [counting_directive(1) | {"kingdm": "x"}]})
    found: list[ProblemList] = []

    def check(files: FilesByKind) -> ProblemList:
        reader = ConfigReader(Settings())
        reader.read_files(files, folder)
        found.append(reader.problems)
        return reader.problems

    assert download_config(settings(frontend, folder), RELOAD, check).is_new
    [problem] = found[0].listed
    assert problem.file == f"{folder}/{D}"


def test_a_faulty_set_that_the_disk_cannot_keep_is_reported_all_the_same(
    frontend: Frontend, folder: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.put(D, FAULTY)
    fail(monkeypatch, "rename", errno.ENOSPC)
    with pytest.raises(FaultyConfigError):
        fetch(frontend, folder)
    assert content(folder) == {}
    [line] = log
    assert line.startswith("WARNING a faulty configuration cannot be set aside: ")
    assert os.strerror(errno.ENOSPC) in line


def test_after_a_faulty_set_the_next_start_without_the_frontend_has_the_last_good_one(
    frontend: Frontend, folder: Path
) -> None:
    fetch(frontend, folder)
    before = visible(folder)
    frontend.put(D, FAULTY)
    fetch(frontend, folder)
    frontend.replies[LIST] = Reply(503)
    assert "status 503" in fetch(frontend, folder, wait=0).trouble
    assert visible(folder) == before


def test_a_set_that_is_faulty_only_with_a_file_put_there_by_hand_is_refused(
    frontend: Frontend, folder: Path
) -> None:
    fetch(frontend, folder)
    before = visible(folder)
    own = f"directives_{NODE}_own.json"
    write(folder, own, json.dumps(OTHER_DIRECTIVES))
    frontend.put(D, OTHER_DIRECTIVES)  # with the same id
    assert fetch(frontend, folder).trouble
    assert visible(folder).items() >= before.items()


def test_what_is_repaired_is_no_fault(frontend: Frontend, folder: Path) -> None:
    frontend.put(D, FAULTY)
    lenient = replace(settings(frontend, folder), lenient_directives=True)
    frontend.put(f"directives_{NODE}_b.json", DIRECTIVES)
    assert download(lenient, RELOAD).is_new
    assert content(folder) == frontend.files


# The set that is there already.


def test_the_same_set_is_not_installed_again_but_counts_as_the_newest(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    assert fetch(frontend, folder).is_new
    inodes = {path: path.stat().st_ino for path in folder.glob("[!.]*")}
    first = (folder / MANIFEST).read_bytes()
    log.clear()
    again = fetch_again(frontend, folder)
    assert (again.is_new, again.trouble) == (False, "")
    assert {path: path.stat().st_ino for path in folder.glob("[!.]*")} == inodes
    assert content(folder) == frontend.files
    assert (folder / MANIFEST).read_bytes() != first
    assert log == []  # it may come every few seconds


# A reload.


def test_a_reload_without_the_frontend_fails_in_its_time(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    fetch(frontend, folder)
    before = content(folder)
    log.clear()
    frontend.replies[LIST] = Reply(503)
    with pytest.raises(DownloadError, match=r"^the configuration cannot be downloaded: .* 503"):
        fetch_again(frontend, folder, wait=0.1)
    assert frontend.times(LIST) > 3
    assert content(folder) == before
    assert log == []  # the error says it
    frontend.stop()
    with pytest.raises(DownloadError, match="Connection refused"):
        fetch_again(frontend, folder, wait=0)


@pytest.mark.parametrize("drip", [{"head_drip": 0.05}, {"drip": 0.05}], ids=["head", "body"])
def test_a_reload_from_a_frontend_that_drips_fails_in_its_time(
    drip: dict[str, Any], frontend: Frontend, folder: Path
) -> None:
    fetch(frontend, folder)
    before = content(folder)
    frontend.replies[LIST + D] = frontend.reply_to(LIST + D)._replace(**drip)
    limits = DownloadLimits(list_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(DownloadError, match="did not come whole"):
        download(settings(frontend, folder), LoadRequest(True, False, 0.2), limits)
    assert time.monotonic() - began < 5
    assert content(folder) == before


def test_a_reload_tries_again_until_its_time_is_over(frontend: Frontend, folder: Path) -> None:
    fetch(frontend, folder)
    frontend.put(A, OTHER_ASSETS)
    frontend.replies[LIST] = [Reply(503)] * 3
    assert fetch_again(frontend, folder).is_new
    assert content(folder) == frontend.files


# Again and again.


def test_it_retries_until_the_frontend_works_and_logs_a_fault_once(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    frontend.replies[LIST] = [
        Reply(503),
        Reply(503, b"a"),
        Reply(503, b"b"),
        Reply(500),
        Reply(503),
    ]
    fetch(frontend, folder, wait=0)
    assert frontend.times(LIST) == 6
    assert [line.split()[0] for line in log] == ["WARNING", "WARNING", "WARNING", "INFO"]
    for status, line in zip((503, 500, 503), log, strict=False):
        assert f"status {status}" in line


def test_names_are_warned_of_once(frontend: Frontend, folder: Path, log: list[str]) -> None:
    frontend.files |= {"a/b": b"", "directives_n10.json": b""}
    frontend.replies[LIST + A] = [Reply(503)] * 4
    fetch(frontend, folder)
    assert sum("a/b" in line for line in log) == 1
    assert sum("directives_n10.json" in line for line in log) == 1


def test_a_frontend_that_is_started_later(frontend: Frontend, folder: Path) -> None:
    frontend.stop()
    starting = threading.Timer(0.05, frontend.start)
    starting.start()
    fetch(frontend, folder)
    starting.join()
    assert content(folder) == frontend.files


def test_the_delay_grows_to_the_longest(frontend: Frontend, folder: Path) -> None:
    frontend.replies[LIST] = [Reply(503)] * 9
    began = time.monotonic()
    fetch(frontend, folder, limits=DownloadLimits(first_delay=0.02, max_delay=0.04))
    assert 0.8 * 0.34 <= time.monotonic() - began < ENOUGH  # without the longest it were 10


def test_after_waiting_long_enough_the_last_good_set_will_do(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    fetch(frontend, folder)
    before = content(folder)
    log.clear()
    frontend.replies[LIST] = Reply(503, b"starting")
    began = time.monotonic()
    fetch(frontend, folder, wait=0.3)
    assert 0.3 <= time.monotonic() - began < 2
    assert frontend.times(LIST) > 3
    assert content(folder) == before
    _, old = log
    assert old.startswith("WARNING starting with the configuration that was downloaded before")
    assert f"{datetime.now(UTC):(of %Y-%m-%d }" in old
    assert "0.0 hours old" in old
    assert "status 503, must be 200; it begins with: starting" in old


def test_even_without_time_to_wait_the_frontend_is_asked_and_may_take_some(
    frontend: Frontend, folder: Path
) -> None:
    fetch(frontend, folder)
    frontend.put(A, OTHER_ASSETS)
    frontend.replies[LIST] = frontend.reply_to(LIST)._replace(drip=0.005)
    fetch(frontend, folder, wait=0)
    assert content(folder) == frontend.files


def test_however_long_it_waits_without_an_older_set_it_goes_on(
    frontend: Frontend, folder: Path
) -> None:
    write(folder, A)
    write(folder, D)
    frontend.replies[LIST] = [Reply(503)] * 5
    fetch(frontend, folder, wait=0)
    assert content(folder) == frontend.files


def test_an_older_set_that_is_not_whole_will_not_do(frontend: Frontend, folder: Path) -> None:
    fetch(frontend, folder)
    (folder / D).unlink()
    frontend.replies[LIST] = [Reply(503)] * 5
    fetch(frontend, folder, wait=0)
    assert content(folder) == frontend.files


def test_a_download_that_takes_too_long_is_ended_when_there_is_an_older_set(
    frontend: Frontend, folder: Path, log: list[str]
) -> None:
    fetch(frontend, folder)
    frontend.replies[LIST + D] = frontend.reply_to(LIST + D)._replace(head_drip=0.05)
    began = time.monotonic()
    fetch(frontend, folder, wait=0.2, limits=DownloadLimits(list_seconds=0.3))
    assert time.monotonic() - began < 2
    assert f"{LIST + D} did not come whole" in log[-1]


# The disk.


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_folder_that_cannot_be_one(path: str, frontend: Frontend, tmp_path: Path) -> None:
    write(tmp_path, "file")
    with pytest.raises(PathError, match=rf"{tmp_path}/file.* cannot be used: (File e|Not a d)"):
        fetch(frontend, tmp_path / path)


def test_a_folder_in_the_place_of_a_file(frontend: Frontend, folder: Path) -> None:
    (folder / A).mkdir(parents=True)
    with pytest.raises(PathError, match=f"{A} cannot be used: Is a directory"):
        fetch(frontend, folder)


def fail(monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    def failing(*args: Any, **kwargs: Any) -> Any:  # noqa: ARG001 - it stands for many
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, failing)


DISK = pytest.mark.parametrize(
    ("call", "code"),
    [("mkdir", errno.EROFS), ("fsync", errno.ENOSPC), ("rename", errno.EIO)],
)


@DISK
def test_a_disk_that_will_not_have_it_is_an_error_at_once(
    call: str, code: int, frontend: Frontend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    fail(monkeypatch, call, code)
    with pytest.raises(PathError, match=f"{folder} cannot be used: {os.strerror(code)}"):
        fetch(frontend, folder)


@DISK
def test_a_disk_that_will_not_have_a_new_set_leaves_the_old_one(
    call: str,
    code: int,
    frontend: Frontend,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: list[str],
) -> None:
    fetch(frontend, folder)
    before = content(folder)
    frontend.put(A, OTHER_ASSETS)
    fail(monkeypatch, call, code)
    log.clear()
    fetch(frontend, folder)
    assert content(folder) == before
    [line] = log
    assert "downloaded before" in line
    assert os.strerror(code) in line


def test_half_of_an_exchange_of_sets_is_no_set_to_start_from(
    frontend: Frontend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(frontend, folder)
    fail(monkeypatch, "unlink", errno.EROFS)
    frontend.put("assets_b.json", ASSETS)
    del frontend.files[A]
    with pytest.raises(PathError):
        fetch(frontend, folder)
    monkeypatch.undo()
    frontend.replies[LIST] = Reply(503)
    fetch(frontend, folder, wait=0)  # with the new one, whose exchange is ended first
    assert content(folder) == frontend.files
