"""The files of the page, read once and sent with an ETag and strict headers."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from aiohttp import web
from msgspec import Struct

from shards.http_server import RequestRefusedError, response

FOLDER = Path(__file__).with_name("static")
CONTRACT = Path(__file__).with_name("openapi.json")
PREFIX = "/console/"
INDEX = "index.html"
TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".woff2": "font/woff2",
        ".json": "application/json",
        ".map": "application/json",
        ".txt": "text/plain; charset=utf-8",
    }
)
"""The kinds of files that are sent; others are not."""
SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
"""Headers of every response of the console."""


class _File(Struct, frozen=True):
    body: bytes
    type: str
    etag: str


class StaticFiles:
    """The files of a folder, by the path under which they are asked for."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    @cached_property
    def _files(self) -> dict[str, _File]:
        found = {}
        for path in sorted(self._folder.rglob("*")):
            if path.suffix in TYPES and path.is_file() and not path.is_symlink():
                body = path.read_bytes()
                etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                name = path.relative_to(self._folder).as_posix()
                found[f"{PREFIX}{name}"] = _File(body, TYPES[path.suffix], etag)
        contract = CONTRACT.read_bytes()
        etag = f'"{hashlib.sha256(contract).hexdigest()[:32]}"'
        found[f"{PREFIX}{CONTRACT.name}"] = _File(contract, TYPES[CONTRACT.suffix], etag)
        if index := found.get(f"{PREFIX}{INDEX}"):
            found["/"] = index
        return found

    def __contains__(self, path: object) -> bool:
        return path == "/" or (isinstance(path, str) and path.startswith(PREFIX))

    def respond(self, request: web.BaseRequest) -> web.Response:
        """A file, or 304 if the client has it; RequestRefusedError."""
        if request.method not in ("GET", "HEAD"):
            raise RequestRefusedError(405, "method not allowed", {"Allow": "GET, HEAD"})
        file = self._files.get(request.path)
        if file is None:
            raise RequestRefusedError(404, "no such file")
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == file.etag:
            return response(304, b"", file.type, headers)
        return response(200, file.body, file.type, headers)
