"""Downloads the configuration of a node from the frontend, with retries."""

import random
import re
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from loguru import logger
from msgspec import Struct

from engine.directives.json_document import parse_list
from shards.config.config_folder import LIST_KEYS, ConfigReader, FilesByKind
from shards.config.downloaded_files import DownloadedFiles, FaultyConfigError, Manifest
from shards.errors import PathError
from shards.http_client import HttpClient, HttpClientError, ServerUrl, parse_server_url
from shards.safe_text import escape_control
from shards.settings.settings import Settings

_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")  # other names could be paths
_LIST = "/config/"
_EXAMPLE_LIST = '{"files": [{"filename": "assets_a.json"}]}'
_SHOWN_NAME_CHARACTERS = 255
_MAX_SHOWN_NAMES = 10  # names in one line of the log


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


def download_config(
    settings: Settings,
    wait_seconds: float,
    stop: threading.Event,
    limits: DownloadLimits | None = None,
) -> str | None:
    """Download the configuration into config_dir; None if `stop` was set before.

    Retries without limit if there is no earlier download. Otherwise that one is used, after
    `wait_seconds`, or at once if the new one is faulty: returns the reason, or "". PathError if the
    disk fails. `stop` may be set by another thread.
    """
    downloaded = DownloadedFiles(settings.config_dir)
    try:
        try:
            downloaded.recover()
            fetching = _Downloader(settings, downloaded, limits or DownloadLimits(), stop)
            return fetching.run_until(time.monotonic() + wait_seconds)
        except OSError as error:
            last = downloaded.last_good()
            if last is None:
                raise
            return _use_last_download(last, _describe_disk_error(error, settings.config_dir))
    except OSError as error:
        raise PathError(_describe_disk_error(error, settings.config_dir)) from error


class _Downloader:
    """Downloads a set, with retries."""

    def __init__(
        self,
        settings: Settings,
        downloaded: DownloadedFiles,
        limits: DownloadLimits,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._downloaded = downloaded
        self._limits = limits
        self._stop = stop
        self._deadline = float("inf")
        """Time at which a running attempt ends; the list of files always has its full time."""
        self._logged: dict[str, str] = {}

    def run_until(self, enough: float) -> str | None:
        """Retry until there is a new set or a stop; from `enough` on the last download is used.

        Returns why it is used; "" for a new set, None after a stop.
        """
        last = self._downloaded.last_good()
        enough = enough if last else float("inf")
        delay = self._limits.first_delay
        while not self._stop.is_set():
            self._deadline = max(enough, time.monotonic() + self._limits.list_seconds)
            try:
                reason = self._try_download()
            except FaultyConfigError as faulty:
                faulty.problems.log()
                reason, enough = str(faulty), 0.0
            if not reason:
                return ""
            left = enough - time.monotonic()
            if last and left <= 0 and not self._stop.is_set():
                return _use_last_download(last, reason)
            self._stop.wait(max(0.0, min(left, delay * random.uniform(0.8, 1.2))))
            delay = min(delay * 2, self._limits.max_delay)
        return None

    def _try_download(self) -> str:
        """Download once; returns the reason of a failure, or ""."""
        try:
            self._download()
        except HttpClientError as broken:
            if not self._stop.is_set() and self._is_news("attempt", broken.reason):
                logger.warning(f"the configuration cannot be downloaded yet: {broken}")
            return str(broken)
        return ""

    def _download(self) -> None:
        to = parse_server_url(self._settings.frontend)
        with HttpClient(to, self._stop) as client:
            names = self._names(client, to)
            files = ((name, self._file(client, to, name)) for name in names)
            manifest = self._downloaded.replace(files, to.shown, self._check_config)
        about = {"files": len(manifest.files), "source": manifest.source}
        logger.bind(**about).info("configuration downloaded")

    def _check_config(self, files: FilesByKind) -> None:
        """Raise FaultyConfigError if these files are no valid configuration."""
        reader = ConfigReader(self._settings, keep=False)
        reader.read_files(files, self._settings.config_dir)
        if reader.faulty:
            raise FaultyConfigError(reader.problems)

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
        return max(0.0, min(most, self._deadline - time.monotonic()))


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


def _use_last_download(last: Manifest, reason: str) -> str:
    """Log that the last download is used, and why; returns that."""
    age = datetime.now(UTC) - last.when
    about = f"of {last.when:%Y-%m-%d %H:%M:%S} UTC, {age.total_seconds() / 3600:.1f} hours old"
    text = f"starting with the configuration that was downloaded before ({about}): {reason}"
    logger.bind(files=len(last.files), source=last.source).warning(text)
    return text


def _describe_disk_error(error: OSError, folder: Path) -> str:
    return f"{error.filename or folder} cannot be used: {error.strerror or error}"
