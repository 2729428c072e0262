"""The configuration of a node of a cluster: downloaded from the frontend, again until it is there.

What may live here: which files a node needs, and what is done when they cannot be had. What may
not: HTTP (exchange.py), the files on the disk (downloaded.py), and what is right in them (engine/).
"""

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
from shards.config.config_folder import KEYS
from shards.config.downloaded_files import DownloadedFiles, Manifest
from shards.errors import PathError
from shards.http_client import HttpClient, HttpClientError, ServerUrl, parse_server_url
from shards.safe_text import escape_control
from shards.settings.settings import Settings

_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")  # else it would be a path
_LIST = "/config/"
_RIGHT_LIST = '{"files": [{"filename": "assets_a.json"}]}'
_LONGEST_NAME = 255
_MOST_NAMED = 10  # names in one line of the log


class DownloadLimits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds; a delay is doubled until it is the longest."""

    list_bytes: int = 1 << 20
    file_bytes: int = 64 << 20
    files: int = 10_000
    list_seconds: float = 10.0
    file_seconds: float = 60.0
    first_delay: float = 0.5
    longest_delay: float = 10.0


class _File(Struct, frozen=True):
    filename: str


class _List(Struct, frozen=True):
    files: tuple[_File, ...]


def download_config(
    settings: Settings,
    wait_seconds: float,
    stop: threading.Event,
    limits: DownloadLimits | None = None,
) -> bool:
    """Bring config_dir up to date; False when stopped before there was a set.

    Tries for ever; but once `wait_seconds` are over, the last set that came whole will do.
    PathError when the disk will not have it. `stop` may be set by another thread.
    """
    downloaded = DownloadedFiles(settings.config_dir)
    try:
        try:
            downloaded.recover()
            fetching = _Fetching(settings, downloaded, limits or DownloadLimits(), stop)
            return fetching.until(time.monotonic() + wait_seconds)
        except OSError as error:
            last = downloaded.last_good()
            if last is None:
                raise
            _say_old(last, _disk_reason(error, settings.config_dir))
            return True
    except OSError as error:
        raise PathError(_disk_reason(error, settings.config_dir)) from error


class _Fetching:
    """Tries to download a set, again and again."""

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
        self._cut = float("inf")
        """When even an attempt that is under way is ended; it has time for the list."""
        self._said: dict[str, str] = {}

    def until(self, enough: float) -> bool:
        """Try until there is a new set, or a stop; from `enough` on an old one will do."""
        last = self._downloaded.last_good()
        enough = enough if last else float("inf")
        delay = self._limits.first_delay
        while not self._stop.is_set():
            self._cut = max(enough, time.monotonic() + self._limits.list_seconds)
            reason = self._attempt()
            if not reason:
                return True
            left = enough - time.monotonic()
            if last and left <= 0 and not self._stop.is_set():
                _say_old(last, reason)
                return True
            self._stop.wait(max(0.0, min(left, delay * random.uniform(0.8, 1.2))))
            delay = min(delay * 2, self._limits.longest_delay)
        return False

    def _attempt(self) -> str:
        """Download once; return why that has failed, empty when it has not."""
        try:
            self._download()
        except HttpClientError as broken:
            if not self._stop.is_set() and self._is_new("attempt", broken.reason):
                logger.warning(f"the configuration cannot be downloaded yet: {broken}")
            return str(broken)
        return ""

    def _download(self) -> None:
        to = parse_server_url(self._settings.frontend)
        with HttpClient(to, self._stop) as client:
            names = self._names(client, to)
            files = ((name, self._file(client, to, name)) for name in names)
            manifest = self._downloaded.replace(files, to.shown)
        about = {"files": len(manifest.files), "source": manifest.source}
        logger.bind(**about).info("configuration downloaded")

    def _names(self, client: HttpClient, to: ServerUrl) -> list[str]:
        """Return the names of the files that this node needs, if they can be enough."""
        url = to.shown + _LIST
        body = client.get(_LIST, self._limits.list_bytes, self._seconds(self._limits.list_seconds))
        listed = _listed(body, url)
        if len(listed) > self._limits.files:
            raise HttpClientError(url, f"lists {len(listed)} files, may list {self._limits.files}")
        return self._needed(listed, url)

    def _needed(self, listed: Sequence[str], url: str) -> list[str]:
        node = self._settings.node
        needed = [name for name in listed if _SAFE_NAME.fullmatch(name) and _is_needed(name, node)]
        ignored = sorted(set(listed).difference(needed))
        refused = [name for name in ignored if not _SAFE_NAME.fullmatch(name)]
        odd = [name for name in ignored if name.startswith(f"directives_{node}")]
        odd = sorted(set(odd).difference(refused))
        self._warn(refused, f"{url} lists names that are refused, may have A-Z a-z 0-9 _ . -")
        self._warn(odd, f"{url} lists files that begin like this node's directives, but are not")
        logger.bind(files=_few(ignored)).debug("files of the frontend that are not for this node")
        _check_enough(needed, self._downloaded.by_hand(), node, url)
        return needed

    def _warn(self, names: Sequence[str], text: str) -> None:
        if names and self._is_new(text, _few(names)):
            logger.warning(f"{text}: {_few(names)}")

    def _is_new(self, about: str, text: str) -> bool:
        """Tell whether this was not the last thing that was said about something."""
        known = self._said.get(about)
        self._said[about] = text
        return known != text

    def _file(self, client: HttpClient, to: ServerUrl, name: str) -> bytes:
        path = _LIST + name
        body = client.get(path, self._limits.file_bytes, self._seconds(self._limits.file_seconds))
        key = KEYS[name.partition("_")[0]]
        _, findings = parse_list(body, key)
        if findings:
            what = key if findings[0].path else "the document"
            reason = f'is not like {{"{key}": [...]}}: {what} {findings[0].message}'
            raise HttpClientError(to.shown + path, reason, body)
        return body

    def _seconds(self, most: float) -> float:
        return max(0.0, min(most, self._cut - time.monotonic()))


def _listed(body: bytes, url: str) -> list[str]:
    """Return the names in a list of files, each once."""
    try:
        document = msgspec.json.decode(body, type=_List)
    except (ValueError, RecursionError) as error:
        reason = f"is no list of files: {error}, must be like {_RIGHT_LIST}"
        raise HttpClientError(url, reason, body) from error
    return list(dict.fromkeys(file.filename for file in document.files))


def _is_needed(name: str, node: str) -> bool:
    directives = f"directives_{node}"
    begins = name.startswith(("assets_", "intel_", "vuln_", f"{directives}_"))
    return (begins and name.endswith(".json")) or name == f"{directives}.json"


def _check_enough(needed: Iterable[str], by_hand: Iterable[str], node: str, url: str) -> None:
    """An emptied frontend does not take from a node what it has."""
    there = [*needed, *by_hand]
    patterns = {
        "assets": "assets_*.json",
        "directives": f"directives_{node}.json or directives_{node}_*.json",
    }
    for kind, pattern in patterns.items():
        if not any(name.startswith(f"{kind}_") for name in there):
            reason = f"lists no {kind} for the node {node}, must list {pattern}"
            raise HttpClientError(url, escape_control(reason))


def _few(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    first = ", ".join(escape_control(name[:_LONGEST_NAME]) for name in names[:_MOST_NAMED])
    return f"{first} and {more} more" if more > 0 else first


def _say_old(last: Manifest, reason: str) -> None:
    """Say that the last good set has to do."""
    age = datetime.now(UTC) - last.when
    about = f"of {last.when:%Y-%m-%d %H:%M:%S} UTC, {age.total_seconds() / 3600:.1f} hours old"
    logger.bind(files=len(last.files), source=last.source).warning(
        f"starting with the configuration that was downloaded before ({about}): {reason}"
    )


def _disk_reason(error: OSError, folder: Path) -> str:
    return f"{error.filename or folder} cannot be used: {error.strerror or error}"
