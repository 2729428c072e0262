"""The files of the page: types, headers, caches, and no way out of their folder."""

import asyncio
import re
from pathlib import Path

import pytest

from shards.ops.console import static_files
from shards.ops.console.static_files import StaticFiles
from tests.support.console import ConsoleClient, running_console
from tests.support.history import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "static"
    (found / "lib").mkdir(parents=True)
    (found / "index.html").write_text("<!doctype html>")
    (found / "lib" / "app.js").write_text("export {};")
    (found / "style.css").write_text("body {}")
    (found / "secret.pem").write_text("no")
    (tmp_path / "outside.js").write_text("no")
    monkeypatch.setattr(static_files.StaticFiles.__init__, "__defaults__", (found,))
    return found


@pytest.mark.usefixtures("folder")
def test_files_have_their_types_and_strict_headers(tmp_path: Path) -> None:
    types = {
        "/": "text/html; charset=utf-8",
        "/console/index.html": "text/html; charset=utf-8",
        "/console/lib/app.js": "text/javascript; charset=utf-8",
        "/console/style.css": "text/css; charset=utf-8",
    }

    async def test() -> None:
        async with running_console(tmp_path) as client:
            for path, type_ in types.items():
                answer = await client.get(path)
                assert (answer.status, answer.headers["Content-Type"]) == (200, type_)
                policy = answer.headers["Content-Security-Policy"]
                for part in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
                    assert part in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"

    run(test())


@pytest.mark.usefixtures("folder")
def test_a_client_that_has_a_file_does_not_get_it_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            first = await client.get("/console/lib/app.js")
            tag = first.headers["ETag"]
            assert first.headers["Cache-Control"] == "no-cache"
            again = await client.get("/console/lib/app.js", headers={"If-None-Match": tag})
            assert (again.status, again.body) == (304, b"")
            other = await client.get("/", headers={"If-None-Match": tag})
            assert (other.status, other.headers["ETag"] != tag) == (200, True)

    run(test())


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "path",
    [
        "/console/secret.pem",
        "/console/../outside.js",
        "/console/%2e%2e/outside.js",
        "/console/lib/../../../outside.js",
        "/console//etc/passwd",
        "/console/",
        "/console/nothing.js",
    ],
)
def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            assert await status_of(client, path) == 404

    run(test())


async def status_of(client: ConsoleClient, path: str) -> int:

    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readline()
    writer.close()
    return int(head.split()[1])


@pytest.mark.usefixtures("folder")
def test_the_page_needs_no_login(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path, api_token="t") as client:
            assert (await client.get("/")).status == 200
            assert (await client.get("/console/lib/app.js")).status == 200

    run(test())


def test_links_out_of_the_folder_are_not_followed(folder: Path) -> None:
    (folder / "link.js").symlink_to(folder.parent / "outside.js")
    assert "/console/link.js" not in StaticFiles(folder)._files


def test_the_browser_is_told_of_all_modules_at_one_time() -> None:
    folder = static_files.FOLDER.resolve()
    found: set[Path] = set()
    waiting = [folder / "main.js"]
    while waiting:
        module = waiting.pop()
        found.add(module)
        imports = re.findall(r'^(?:import|export|\}).* from "(\.[^"]+)";', module.read_text(), re.M)
        waiting += {(module.parent / name).resolve() for name in imports} - found
    names = {module.relative_to(folder).as_posix() for module in found} - {"main.js"}
    links = re.findall(
        r'rel="modulepreload" href="/console/(.+)"', (folder / "index.html").read_text()
    )
    assert sorted(links) == sorted(names)
