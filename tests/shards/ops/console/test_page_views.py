"""Backlogs, directives, flow and config in a real browser."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.shards.ops.console.conftest import Visit
from tests.support import console_data
from tests.support.console_mock import MockConsole

pytestmark = pytest.mark.integration


def test_backlogs_are_sorted_by_the_service_and_held_by_the_page(visit: Visit) -> None:
    mock = MockConsole(400)
    watched = visit(mock)
    page = watched.open("#/backlogs")
    links = page.locator("table.backlogs a.row")
    expect(links).to_have_count(100)
    page.get_by_role("link", name="Age", exact=True).click()
    oldest = min(mock.backlogs, key=lambda one: one["created_time"])
    expect(links.first).to_have_attribute("href", re.compile(f"/{oldest['id']}\\?sort=age"))
    expect(page.get_by_role("columnheader", name="Age", exact=True)).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("link", name="Age", exact=True).click()
    newest = max(mock.backlogs, key=lambda one: one["created_time"])
    expect(links.first).to_have_attribute("href", re.compile(newest["id"]))
    page.get_by_role("link", name="Next page").click()
    expect(page).to_have_url(re.compile("after=100"))
    expect(links).to_have_count(100)


def test_a_backlog_says_what_it_waits_for(visit: Visit) -> None:
    mock = MockConsole(20)
    backlog = mock.backlogs[0]
    page = visit(mock).open("#/backlogs")
    page.locator("table.backlogs a.row").first.click()
    detail = page.locator(".detail")
    expect(detail).to_contain_text(f"Stage {backlog['stage']} of {backlog['stages']}")
    expect(detail).to_contain_text(f"{backlog['taken']} of {backlog['needed']}")
    expect(detail.locator("section p.muted")).to_contain_text("from the source of stage 1")


def test_no_backlog_says_where_to_look(visit: Visit) -> None:
    page = visit(MockConsole(0)).open("#/backlogs")
    expect(page.locator(".empty h2")).to_have_text("No backlog is open")


def test_directives_that_never_fired_are_found(visit: Visit) -> None:
    page = visit(MockConsole(60)).open("#/directives")
    page.get_by_role("link", name=re.compile("^Never fired")).click()
    expect(page.locator("table.directives a.row")).to_have_count(2)
    expect(page.locator("table.directives .tag").first).to_have_text("never fired")


def test_rules_are_sentences(visit: Visit) -> None:
    page = visit(MockConsole(20)).open("#/directives/1001")
    rules = page.locator(".detail .stage-line li > p")
    expect(rules.first).to_have_text(
        "1 event: plugin 4001 with sid 1, from outside HOME_NET, to inside HOME_NET, "
        "port 22 or 2222."
    )
    expect(rules.nth(2)).to_contain_text(
        "user is root or admin, each with another destination port"
    )


def test_references_and_several_sticky_values_are_words(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = console_data.make_rules(1001)[:2]
    second |= {"from": ":1.to", "to": "!:1", "port_to": "!:1.port_from", "custom_data1": ":1.from"}
    second |= {"sticky_different": "SRC_PORT,CUSTOM_DATA2", "custom_label1": ""}
    monkeypatch.setattr(console_data, "make_rules", lambda _: [first, second])
    page = visit(MockConsole(20)).open("#/directives/1001")
    expect(page.locator(".detail .stage-line li > p").nth(1)).to_contain_text(
        "from the destination of stage 1, to not the destination of stage 1, "
        "port not the source port of stage 1, custom_data1 is the source of stage 1, "
        "each with another source port and another custom_data2."
    )
    expect(page.locator(".detail")).to_contain_text("* is any number of characters")


def test_an_event_that_is_no_json_is_explained_as_invalid(visit: Visit) -> None:
    watched = visit(MockConsole(20))
    watched.expected.add(400)
    page = watched.open("#/directives/1001")
    page.get_by_label("Paste an event as JSON").fill('{"event_id": ')
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".verdict")).to_contain_text("the event is invalid")
    expect(page.locator(".verdict")).to_contain_text("bad_json: not JSON")


def test_a_recent_event_can_be_picked(visit: Visit) -> None:
    page = visit(MockConsole(20)).open("#/directives/1001")
    page.get_by_role("button", name="recent events").click()
    page.get_by_label("Recent events").select_option("2")
    expect(page.get_by_label("Paste an event as JSON")).to_have_value(
        re.compile('"event_id": "e2"')
    )


def test_an_operator_sees_a_worker_that_was_killed(visit: Visit) -> None:
    mock = MockConsole(20)
    page = visit(mock).open("#/flow")
    expect(page.locator(".state-card")).to_contain_text("Ready")
    flow = mock.make_flow()
    flow["workers"][1] |= {"up": False, "ready": False, "restarts": 1}
    flow["ledger"]["deliveries"]["lost"] = {"worker_died": 412}
    mock.flow_changes = {
        "workers": flow["workers"],
        "ledger": flow["ledger"],
        "ready": False,
        "missing": ["worker-1 is not running"],
    }
    mock.incidents.append(
        {
            "time": time.time(),
            "kind": "restart",
            "process": "worker-1",
            "text": "killed by signal 9",
        }
    )
    expect(page.locator(".state-card")).to_contain_text("Worker-1 is not running.")
    expect(page.locator(".banner")).to_contain_text("worker-1 is not running")
    expect(page.locator("[data-node=worker-1]")).to_have_class(re.compile("bad"))
    lost = page.locator(".troubles tr.bad", has_text="deliveries lost: worker died")
    expect(lost).to_contain_text("412")
    expect(lost).to_contain_text("memory ran out")
    expect(page.locator(".incidents li").first).to_contain_text("killed by signal 9")
    mock.flow_changes = {}
    expect(page.locator(".banner")).to_have_count(0)


def test_an_operator_sees_a_full_disk(visit: Visit) -> None:
    mock = MockConsole(20)
    mock.flow_changes = {
        "ready": False,
        "missing": ["alarms cannot be written: No space left on device"],
        "output": {"trouble": "No space left on device", "errors": 7},
    }
    page = visit(mock, width=375).open("#/flow")
    expect(page.locator(".box", has_text="Lines of alarms")).to_contain_text(
        "No space left on device"
    )
    expect(page.locator(".troubles tr.bad")).to_contain_text("Free space on the disk")


def test_an_operator_reloads_with_a_fault_and_sees_where_it_is(visit: Visit) -> None:
    mock = MockConsole(20, token="secret")
    mock.reload_outcome = "refused"
    watched = visit(mock)
    watched.expected |= {401, 422}
    page = watched.open("#/config")
    page.get_by_label("Token").fill("secret")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Reload the configuration").click()
    expect(page.locator(".outcome")).to_contain_text("Refused")
    fault = page.locator(".problem.fault")
    expect(fault).to_contain_text("directives_example.json:14:19")
    expect(fault.locator(".here")).to_contain_text("10.0.0.300")
    mock.reload_outcome = "applied"
    page.get_by_role("button", name="Reload the configuration").click()
    expect(page.locator(".outcome")).to_contain_text("Generation 4 runs.")


def test_without_a_token_there_is_no_reload(visit: Visit) -> None:
    page = visit(MockConsole(20)).open("#/config")
    expect(page.get_by_role("button", name="Reload the configuration")).to_be_disabled()
    expect(page.locator(".card").first).to_contain_text("--api-token")


def test_settings_that_are_not_the_default_are_found(visit: Visit) -> None:
    page = visit(MockConsole(20)).open("#/config")
    page.get_by_role("link", name=re.compile("^Not default")).click()
    expect(page.locator("table.settings tr.set")).to_have_count(5)
    page.get_by_label("Search settings").fill("max-eps")
    row = page.locator("table.settings tr.set")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("/etc/dsiem/dsiem.conf:12")


def test_history_is_painted_with_what_happened(visit: Visit) -> None:
    page = visit(MockConsole(20)).open("#/flow")
    charts = page.locator(".chart canvas")
    expect(charts).to_have_count(7)
    ink = """(canvas) => {
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value) => value !== 0);
    }"""
    expect(page.locator(".incidents li")).to_have_count(3)
    page.wait_for_function(f"() => [...document.querySelectorAll('.chart canvas')].every({ink})")
