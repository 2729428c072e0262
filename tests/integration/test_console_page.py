"""The console of a running service in a real browser: what an analyst and an operator do."""

import json
import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import WatchedPage, run_browser
from tests.support.hostile_texts import HIDDEN, SCRIPTS
from tests.support.nats_server import free_port
from tests.support.serving import (
    NumberedEvents,
    Service,
    counting_directive,
    directives_of,
    serving,
    write_config,
)

FIRST, SECOND = directives_of(0, 2)[0], directives_of(1, 2)[0]
TOKEN = "a secret of the tests".replace(" ", "-")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; no longer than a module, since it keeps an event loop running meanwhile."""
    with run_browser() as started:
        yield started


@contextmanager
def console_of(
    browser: Browser, folder: Path, *options: str, token: str = ""
) -> Iterator[tuple[Service, WatchedPage]]:
    """A service and its console; at the end nothing may have been wrong with the page."""
    write_config(folder, map(counting_directive, (FIRST, SECOND)))
    port = free_port()
    environment = {"DSIEM_API_TOKEN": token}
    more = (f"--ops-port={port}", "--checkpoint-interval=1", *options)
    with serving(folder, *more, environment=environment) as service:
        watched = WatchedPage(browser, f"http://127.0.0.1:{port}", 1280, "light")
        try:
            yield service, watched
        finally:
            watched.context.close()
    assert watched.problems == []


def test_an_analyst_follows_an_alarm_from_its_first_event_to_its_last(
    browser: Browser, tmp_path: Path
) -> None:
    link = "--event-link=https://kibana.example/?q={event_id}"
    with console_of(browser, tmp_path, link) as (service, watched):
        page = watched.open()
        expect(page.locator(".empty h2")).to_have_text("No alarms yet")
        events = NumberedEvents(FIRST)
        service.post(events.take(6))
        watched.go("#/backlogs")
        expect(page.locator("table.backlogs a.row")).to_have_count(1)
        expect(page.locator("table.backlogs td.c-progress")).to_have_text(re.compile("[0-9] of 9"))
        service.post(events.take(4))
        watched.go("#/alarms")
        row = page.locator("table.alarms tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("High")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        stages = page.locator(".stage-line li")
        expect(stages).to_have_count(2)
        expect(stages.last).to_contain_text("finished")
        taken = page.locator("td.event a")
        expect(taken).to_have_count(10)
        expect(taken.first).to_have_attribute("href", "https://kibana.example/?q=e0")
        page.locator("summary", has_text="Raw line").click()
        shown = json.loads(page.locator("pre.json").inner_text())
        assert shown["alarm_id"] == service.alarms()[0]["alarm_id"]
        page.locator(".facts").get_by_role("link", name=str(FIRST)).click()
        page.get_by_role("button", name="example for stage 1").click()
        page.get_by_role("button", name="Explain").click()
        expect(page.locator(".verdict").first).to_be_visible()
        expect(page.locator(".answer")).to_contain_text("open backlogs at worker-")
        page.go_back()
        expect(stages).to_have_count(2)


def test_an_operator_sees_a_worker_die_and_come_back(browser: Browser, tmp_path: Path) -> None:
    with console_of(browser, tmp_path) as (service, watched):
        page = watched.open("#/flow")
        expect(page.locator(".state-card")).to_contain_text("Every event is accounted for")
        # What happens before the first look of the history, a second after the start, is not in it.
        expect(page.locator(".figure", has_text="Up for")).to_contain_text(re.compile("[3-9] s"))
        os.kill(service.workers[0], signal.SIGKILL)
        died = page.locator(".troubles tr.bad", has_text="restarts of worker-0")
        expect(died).to_contain_text("memory ran out")
        expect(page.locator(".incidents")).to_contain_text("worker-0")
        expect(page.locator("[data-node=worker-0]")).to_contain_text("running, restarted 1 ×")
        expect(page.locator(".banner")).to_have_count(0)


def test_an_operator_sees_a_full_disk_and_that_it_is_over(browser: Browser, tmp_path: Path) -> None:
    with console_of(browser, tmp_path) as (service, watched):
        page = watched.open("#/flow")
        expect(page.locator(".state-card")).to_contain_text("Ready")
        service.post(NumberedEvents(FIRST, name="a").take(10))
        service.wait_for_lines(10)
        limit_files(service, 1)
        service.post(NumberedEvents(FIRST, name="b").take(10))
        expect(page.locator(".banner")).to_contain_text("alarms cannot be written")
        expect(page.locator(".box.bad", has_text="Lines of alarms")).to_be_visible()
        limit_files(service, resource.RLIM_INFINITY)
        expect(page.locator(".banner")).to_have_count(0)
        expect(page.locator(".troubles")).to_contain_text("failed writes of alarms")


def limit_files(service: Service, most: int) -> None:
    """Limit the size in bytes of all files that the supervisor writes."""
    limits = (most, resource.RLIM_INFINITY)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, limits)


def test_an_operator_reloads_with_a_fault_corrects_it_and_reloads(
    browser: Browser, tmp_path: Path
) -> None:
    with console_of(browser, tmp_path, token=TOKEN) as (_, watched):
        watched.expected |= {401, 422}
        page = watched.open("#/config")
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        file = tmp_path / "conf" / "directives_a.json"
        good = file.read_text()
        file.write_text(good.replace('"priority": ', '"priority": 1', 1))
        reload = page.get_by_role("button", name="Reload the configuration")
        reload.click()
        expect(page.locator(".problem.fault")).to_contain_text(
            re.compile(r"directives_a\.json:1:\d+")
        )
        expect(page.locator(".problem .here")).to_contain_text('"priority": 1')
        changed = json.loads(good)
        changed["directives"].pop()
        file.write_text(json.dumps(changed))
        reload.click()
        expect(page.locator(".outcome")).to_contain_text("Generation 2 runs.")
        expect(page.locator(".outcome")).to_contain_text("1 removed")
        page.keyboard.press("3")
        expect(page.locator("table.directives a.row")).to_have_count(1)


def test_hostile_events_are_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    with console_of(browser, tmp_path) as (service, watched):
        texts = (*SCRIPTS, *HIDDEN)
        events = NumberedEvents(FIRST).take(10)
        labels = [{"custom_data1": text, "custom_label1": text} for text in texts]
        service.post([one | label for one, label in zip(events, labels, strict=False)])
        page = watched.open()
        page.locator("table.alarms a.row").first.click()
        custom = page.locator("section:has(> h2:text('Custom data')) dd")
        expect(custom.first).to_have_text(texts[0])
        assert page.evaluate("[window.hacked, document.scripts.length]") == [None, 2]


def test_the_page_finds_the_service_again_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    with console_of(browser, tmp_path) as (service, watched):
        watched.may_lose_service = True
        service.post(NumberedEvents(FIRST).take(10))
        page = watched.open()
        expect(page.locator("table.alarms a.row")).to_have_count(1)
        port = watched.url.rpartition(":")[2]
        service.stop()
        expect(page.locator(".banner")).to_contain_text("does not answer")
        with serving(tmp_path, f"--ops-port={port}") as again:
            expect(page.locator(".banner")).to_have_count(0)
            again.post(NumberedEvents(SECOND, name="f").take(10))
            expect(page.locator("table.alarms a.row")).to_have_count(2)
