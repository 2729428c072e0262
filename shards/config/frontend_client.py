"""Downloads the configuration of a node from the frontend, with retries."""

import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from loguru import logger
from msgspec import Struct

from engine.directives.json_document import parse_list
from shards.config.config_files import LIST_KEYS, FilesByKind
from shards.config.downloaded_files import (
    Download,
    DownloadedFiles,
    FaultyConfigError,
    Manifest,
    describe_disk_error,
)
from shards.config.generation import LoadRequest
from shards.config.problem import ProblemList
from shards.errors import PathError
from shards.http_client import HttpClient, HttpClientError, ServerUrl, parse_server_url
from shards.progress import TrackProgress, untracked
from shards.safe_text import escape_control
from shards.settings.settings import Settings

_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")  # other names could be paths
_LIST = "/config/"
_EXAMPLE_LIST = '{"files": [{"filename": "assets_a.json"}]}'
_SHOWN_NAME_CHARACTERS = 255
_MAX_SHOWN_NAMES = 10  # names in one line of the log
_CONNECT_SECONDS = 20.0  # added to the time of an exchange: those of its connection are not in it
_NEVER = threading.Event()  # a download is stopped by the end of its process


class DownloadLimits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds; the delay between attempts doubles up to the maximum."""

    list_bytes: int = 1 << 20
    file_bytes: int = 64 << 20
    files: int = 10_000
    list_seconds: float = 10.0
    file_seconds: float = 60.0
    first_delay: float = 0.5
    max_delay: float = 10.0


class _File(Struct, frozen=True):
    filename: str


class _List(Struct, frozen=True):
    files: tuple[_File, ...]


Check = Callable[[FilesByKind], ProblemList]


class DownloadError(Exception):
    """Nothing was downloaded; the text says why."""


def download_config(
    settings: Settings,
    request: LoadRequest,
    check: Check,
    *,
    track_progress: TrackProgress = untracked,
    expect: Callable[[float], None] = lambda _: None,
    limits: DownloadLimits | None = None,
) -> Download:
    """Download the configuration into config_dir.

    `check` gets all files of a new set and returns their problems. `expect` is called before each
    step that reports no progress, with the seconds that it takes at most.

    A start uses the last download if there is one, after `wait_seconds`, or at once if the new one
    is faulty; without one it retries for ever. Otherwise there are retries for `wait_seconds`. The
    last attempt always has as long as the list of files may take. FaultyConfigError; DownloadError
    if the frontend does not answer as it should; PathError if the disk fails.
    """
    downloaded = DownloadedFiles(settings.config_dir, track_progress)
    try:
        try:
            downloaded.recover()
            last = downloaded.last_good() if request.is_start else None
            downloader = _Downloader(settings, downloaded, limits or DownloadLimits(), expect)
            return downloader.run(request, last, check)
        except OSError as error:
            last = downloaded.last_good() if request.is_start else None
            if last is None:
                raise
            return _use_last_download(last, describe_disk_error(error, settings.config_dir))
    except OSError as error:
        raise PathError(describe_disk_error(error, settings.config_dir)) from error


class _Downloader:
    """Downloads a set, with retries."""

    def __init__(
        self,
        settings: Settings,
        downloaded: DownloadedFiles,
        limits: DownloadLimits,
        expect: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._downloaded = downloaded
        self._limits = limits
        self._expect = expect
        self._deadline = float("inf")
        """Time at which a running attempt ends; the list of files always has its full time."""
        self._logged: dict[str, str] = {}

    def run(self, request: LoadRequest, last: Manifest | None, check: Check) -> Download:
        """Retry until there is a new set, or it has taken long enough; `last`: what can be used.

        FaultyConfigError, DownloadError.
        """
        is_bounded = last is not None or not request.is_start
        enough = time.monotonic() + request.wait_seconds if is_bounded else float("inf")
        delay = self._limits.first_delay
        while True:
            self._deadline = max(enough, time.monotonic() + self._limits.list_seconds)
            try:
                return Download(self._download(request, check))
            except FaultyConfigError as faulty:
                if last is None:
                    raise
                return _use_last_download(last, str(faulty), faulty.problems)
            except HttpClientError as broken:
                left = enough - time.monotonic()
                if left <= 0 and last is None:
                    raise DownloadError(
                        f"the configuration cannot be downloaded: {broken}"
                    ) from broken
                if request.is_start and self._is_news("attempt", broken.reason):
                    logger.warning(f"the configuration cannot be downloaded yet: {broken}")
                if left <= 0 and last is not None:
                    return _use_last_download(last, str(broken))
            pause = min(left, delay * random.uniform(0.8, 1.2))
            self._expect(pause)
            time.sleep(pause)
            delay = min(delay * 2, self._limits.max_delay)

    def _download(self, request: LoadRequest, check: Check) -> bool:
        """Download once; returns whether the set is new."""
        to = parse_server_url(self._settings.frontend)
        with HttpClient(to, _NEVER) as client:
            names = self._names(client, to)
            files = ((name, self._file(client, to, name)) for name in names)
            is_new = self._downloaded.replace(files, to.shown, check)
        level = "INFO" if is_new or request.is_start else "DEBUG"
        logger.bind(files=len(names), source=to.shown).log(level, "configuration downloaded")
        return is_new

    def _names(self, client: HttpClient, to: ServerUrl) -> list[str]:
        """The names of the files for this node; HttpClientError if some are missing."""
        url = to.shown + _LIST
        body = client.get(_LIST, self._limits.list_bytes, self._seconds(self._limits.list_seconds))
        listed = _parse_list(body, url)
        if len(listed) > self._limits.files:
            raise HttpClientError(url, f"lists {len(listed)} files, may list {self._limits.files}")
        return self._select_files(listed, url)

    def _select_files(self, listed: Sequence[str], url: str) -> list[str]:
        node = self._settings.node
        needed = [
            name for name in listed if _SAFE_NAME.fullmatch(name) and _is_for_node(name, node)
        ]
        ignored = sorted(set(listed).difference(needed))
        refused = [name for name in ignored if not _SAFE_NAME.fullmatch(name)]
        odd = [name for name in ignored if name.startswith(f"directives_{node}")]
        odd = sorted(set(odd).difference(refused))
        self._warn(refused, f"{url} lists names that are refused, may have A-Z a-z 0-9 _ . -")
        self._warn(odd, f"{url} lists files that begin like this node's directives, but are not")
        logger.bind(files=_shorten_list(ignored)).debug(
            "files of the frontend that are not for this node"
        )
        _check_complete(needed, self._downloaded.manual_files(), node, url)
        return needed

    def _warn(self, names: Sequence[str], text: str) -> None:
        if names and self._is_news(text, _shorten_list(names)):
            logger.warning(f"{text}: {_shorten_list(names)}")

    def _is_news(self, about: str, text: str) -> bool:
        """Whether a text differs from the last one that was logged about a subject."""
        known = self._logged.get(about)
        self._logged[about] = text
        return known != text

    def _file(self, client: HttpClient, to: ServerUrl, name: str) -> bytes:
        path = _LIST + name
        body = client.get(path, self._limits.file_bytes, self._seconds(self._limits.file_seconds))
        key = LIST_KEYS[name.partition("_")[0]]
        findings = [finding for finding in parse_list(body, key)[1] if not finding.warning]
        if findings:
            what = key if findings[0].path else "the document"
            reason = f'is not like {{"{key}": [...]}}: {what} {findings[0].message}'
            raise HttpClientError(to.shown + path, reason, body)
        return body

    def _seconds(self, most: float) -> float:
        """The seconds that an exchange may take, which is expected to begin now."""
        seconds = max(0.0, min(most, self._deadline - time.monotonic()))
        self._expect(seconds + _CONNECT_SECONDS)
        return seconds


def _parse_list(body: bytes, url: str) -> list[str]:
    """The file names in a list, each once; HttpClientError if it is invalid."""
    try:
        document = msgspec.json.decode(body, type=_List)
    except (ValueError, RecursionError) as error:
        reason = f"is no list of files: {error}, must be like {_EXAMPLE_LIST}"
        raise HttpClientError(url, reason, body) from error
    return list(dict.fromkeys(file.filename for file in document.files))


def _is_for_node(name: str, node: str) -> bool:
    directives = f"directives_{node}"
    begins = name.startswith(("assets_", "intel_", "vuln_", f"{directives}_"))
    return (begins and name.endswith(".json")) or name == f"{directives}.json"


def _check_complete(
    needed: Iterable[str], manual_files: Iterable[str], node: str, url: str
) -> None:
    """Check that there are assets and directives: an emptied frontend must not clear a node."""
    there = [*needed, *manual_files]
    patterns = {
        "assets": "assets_*.json",
        "directives": f"directives_{node}.json or directives_{node}_*.json",
    }
    for kind, pattern in patterns.items():
        if not any(name.startswith(f"{kind}_") for name in there):
            reason = f"lists no {kind} for the node {node}, must list {pattern}"
            raise HttpClientError(url, escape_control(reason))


def _shorten_list(names: Sequence[str]) -> str:
    """The first names, and the number of further ones."""
    more = len(names) - _MAX_SHOWN_NAMES
    first = ", ".join(
        escape_control(name[:_SHOWN_NAME_CHARACTERS]) for name in names[:_MAX_SHOWN_NAMES]
    )
    return f"{first} and {more} more" if more > 0 else first


def _use_last_download(
    last: Manifest, reason: str, problems: ProblemList | None = None
) -> Download:
    """Log that the last download is used, and why."""
    age = datetime.now(UTC) - last.when
    about = f"of {last.when:%Y-%m-%d %H:%M:%S} UTC, {age.total_seconds() / 3600:.1f} hours old"
    text = f"starting with the configuration that was downloaded before ({about}): {reason}"
    logger.bind(files=len(last.files), source=last.source).warning(text)
    return Download(is_new=False, trouble=text, problems=problems)
