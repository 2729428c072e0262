"""Fixtures of the tests of the console's page: one browser for the tests of a file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Theme, WatchedPage, run_browser
from tests.support.console_mock import MockConsole, run_mock

Visit = Callable[..., WatchedPage]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; no longer than a module, since it keeps an event loop running meanwhile."""
    with run_browser() as started:
        yield started


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Serve a mock, and open its page; at the end nothing may have been wrong with the page."""
    pages: list[WatchedPage] = []
    with ExitStack() as stack:

        def open_page(mock: MockConsole, width: int = 1280, theme: Theme = "light") -> WatchedPage:
            page = WatchedPage(browser, stack.enter_context(run_mock(mock)), width, theme)
            pages.append(page)
            stack.callback(page.context.close)
            return page

        yield open_page
    assert [problem for page in pages for problem in page.problems] == []
