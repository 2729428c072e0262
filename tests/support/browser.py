"""A headless Chromium for tests of the console's page, and pages that note whatever is wrong."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.support.console_contract import undocumented

Theme = Literal["light", "dark"]
WAIT_MS = 45_000
"""Longest wait for what the page should show."""
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
_EXPECTED_FAILURE = "Failed to load resource: the server responded with a status of {}"


@contextmanager
def run_browser() -> Iterator[Browser]:
    """Chromium while the context is active; the test is skipped if there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not here: it comes with the Debian package chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        expect.set_options(timeout=WAIT_MS)
        browser = playwright.chromium.launch(executable_path=chromium, args=sandbox)
        yield browser
        browser.close()


class WatchedPage:
    """A page of the console; `problems` are errors, policy violations and foreign requests.

    `expected`: statuses of HTTP that are no problem; `may_lose_service`: nor are requests without
    an answer.
    """

    def __init__(self, browser: Browser, url: str, width: int, theme: Theme) -> None:
        height = 812 if width < 500 else 900
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
        )
        self.context.set_default_timeout(WAIT_MS)
        self.context.add_init_script(_REPORT_VIOLATIONS)
        self.url = url
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.expected: set[int] = set()
        self.may_lose_service = False
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on("dialog", self._note_dialog)
        self.page.on("request", self._note_request)

    def open(self, place: str = "") -> Page:
        """Load the page at a place, such as `#/flow`."""
        self.page.goto(f"{self.url}/{place}")
        return self.page

    def go(self, place: str) -> Page:
        """Go to another place without loading the page again."""
        self.page.evaluate("(place) => { location.hash = place }", place)
        return self.page

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        expected = [_EXPECTED_FAILURE.format(status) for status in self.expected]
        if self.may_lose_service:
            expected += ["Failed to load resource: net::"]
        if not message.text.startswith(tuple(expected)):
            self.problems.append(f"console: {message.text}")

    def _note_dialog(self, dialog: object) -> None:
        self.problems.append(f"dialog: {dialog}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.problems.append(f"foreign request: {request.url}")
        parts = urlsplit(request.url)
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        if parts.path.startswith("/api/"):
            self.problems += undocumented(request.method, parts.path, names)
