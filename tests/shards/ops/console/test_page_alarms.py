"""The view of alarms in a real browser: list, filters, groups, live updates, detail."""

import re

import pytest
from playwright.sync_api import expect

from tests.shards.ops.console.conftest import Visit
from tests.support.console_mock import MockConsole

pytestmark = pytest.mark.integration


def test_an_analyst_sees_an_alarm_filters_reads_explains_and_comes_back(visit: Visit) -> None:
    mock = MockConsole(40, event_link="https://kibana.example/?q={event_id}")
    refusal = {"field": "from", "rule": ":1", "wants": "203.0.113.46", "got": "203.0.113.99"}
    verdict = {"verdict": "no_match", "directive": 1003, "stage": 2, "backlog": "2zgdF5_To"}
    mock.explanation["verdicts"] = [verdict | {"refusal": refusal | {"met": 4, "conditions": 5}}]
    watched = visit(mock)
    page = watched.open()
    expect(page.locator("table.alarms a.row")).to_have_count(40)
    arrived = mock.add_alarm(
        title="Beacon to a new host", risk=9, risk_class="High", directive=1003
    )
    id_ = arrived["alarm"]["id"]
    first = page.locator("table.alarms a.row").first
    expect(first).to_have_text("Beacon to a new host")
    page.keyboard.press("/")
    page.keyboard.type("beacon new")
    expect(page.locator("table.alarms a.row")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^High")).click()
    expect(page).to_have_url(re.compile(r"#/alarms\?text=beacon\+new&risk=High$"))
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".alarm-head .title")).to_have_text("Beacon to a new host")
    expect(page).to_have_url(re.compile(f"#/alarms/{id_}"))
    page.locator(".facts").get_by_role("link", name="1003").click()
    page.get_by_role("button", name="example for stage 2").click()
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".verdict")).to_contain_text("a condition refuses it")
    expect(page.locator(".verdict")).to_contain_text("203.0.113.46")
    page.go_back()
    expect(page.locator(".alarm-head .title")).to_have_text("Beacon to a new host")
    page.go_back()
    expect(page.locator(".alarm-head")).to_have_count(0)
    expect(page.locator("table.alarms a.row")).to_have_count(1)
    expect(page.get_by_label("Search alarms")).to_have_value("beacon new")


def test_a_permalink_opens_the_same_alarm_and_filter(visit: Visit) -> None:
    mock = MockConsole(50)
    detail = mock.alarms[7]
    page = visit(mock).open(f"#/alarms/{detail['alarm']['id']}?risk=Low,Medium&state=open")
    expect(page.locator(".alarm-head .title")).to_have_text(detail["alarm"]["title"])
    expect(page.get_by_label("State")).to_have_value("open")
    stages = page.locator(".stage-line li")
    expect(stages).to_have_count(len(detail["stages"]))
    shown = detail["stages"][0]
    expect(stages.first).to_contain_text(f"{shown['taken']} of {shown['needed']}")


def test_ten_thousand_alarms_are_never_more_than_a_page(visit: Visit) -> None:
    mock = MockConsole(10_000)
    page = visit(mock).open()
    links = page.locator("table.alarms a.row")
    expect(links).to_have_count(100)
    expect(page.locator(".list-head")).to_contain_text("10,000 alarms")
    last = mock.alarms[99]["alarm"]["id"]
    expect(links.last).to_have_attribute("href", f"#/alarms/{last}")
    page.get_by_role("link", name="Next page").click()
    following = mock.alarms[100]["alarm"]["id"]
    expect(links.first).to_have_attribute("href", re.compile(f"^#/alarms/{following}"))
    expect(links).to_have_count(100)
    page.go_back()
    expect(page.get_by_role("link", name="First page")).to_have_count(0)
    newest = [mock.add_alarm() for _ in range(5)][-1]
    expect(links.first).to_have_attribute("href", f"#/alarms/{newest['alarm']['id']}")
    expect(links).to_have_count(100)


def test_new_alarms_wait_while_one_reads_further_down(visit: Visit) -> None:
    mock = MockConsole(200)
    page = visit(mock).open()
    links = page.locator("table.alarms a.row")
    expect(links).to_have_count(100)
    page.locator(".list .scroll").evaluate("(box) => box.scrollTo(0, 600)")
    before = links.first.get_attribute("href")
    mock.add_alarm()
    mock.add_alarm()
    button = page.get_by_role("button", name="2 new or changed alarms")
    expect(button).to_be_visible()
    assert links.first.get_attribute("href") == before
    button.click()
    expect(links.first).not_to_have_attribute("href", str(before))


def test_paused_nothing_moves(visit: Visit) -> None:
    mock = MockConsole(20)
    page = visit(mock).open()
    links = page.locator("table.alarms a.row")
    expect(links).to_have_count(20)
    page.get_by_role("button", name="Live").click()
    mock.add_alarm()
    expect(page.get_by_role("button", name="1 new or changed alarm")).to_be_visible()
    expect(links).to_have_count(20)
    page.get_by_role("button", name="Paused").click()
    expect(links).to_have_count(21)


def test_an_alarm_that_no_longer_matches_leaves_the_list(visit: Visit) -> None:
    mock = MockConsole(20)
    chosen = next(one for one in mock.alarms if one["alarm"]["state"] == "open")
    still_open = sum(one["alarm"]["state"] == "open" for one in mock.alarms)
    page = visit(mock).open("#/alarms?state=open")
    links = page.locator("table.alarms a.row")
    expect(links).to_have_count(still_open)
    mock.sequence += 1
    chosen["alarm"] |= {"state": "finished", "sequence": mock.sequence}
    expect(links).to_have_count(still_open - 1)


def test_no_alarms_says_where_to_look(visit: Visit) -> None:
    page = visit(MockConsole(0)).open()
    expect(page.locator(".empty h2")).to_have_text("No alarms yet")
    expect(page.locator(".empty").get_by_role("link", name="Flow")).to_be_visible()


def test_a_filter_that_matches_nothing_can_be_removed(visit: Visit) -> None:
    page = visit(MockConsole(10)).open("#/alarms?text=nothinglikethis")
    expect(page.locator(".empty h2")).to_have_text("No alarm matches")
    page.get_by_role("link", name="Remove all filters").click()
    expect(page.locator("table.alarms a.row")).to_have_count(10)


def test_a_wrong_address_is_named_and_not_asked_for(visit: Visit) -> None:
    page = visit(MockConsole(10)).open("#/alarms?address=10.20.x")
    field = page.get_by_label("Address or network")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("table.alarms a.row")).to_have_count(10)


def test_groups_lead_to_their_alarms(visit: Visit) -> None:
    mock = MockConsole(60)
    page = visit(mock).open("#/alarms")
    page.get_by_label("Group").select_option("directive")
    group = page.locator("table.groups tbody tr").first
    number = int(group.locator(".c-alarms").inner_text())
    group.locator("a.row").click()
    expect(page.locator("table.alarms a.row")).to_have_count(number)
    page.go_back()
    expect(page.locator("table.groups")).to_be_visible()


def test_a_drag_over_the_timeline_selects_that_time(visit: Visit) -> None:
    page = visit(MockConsole(300)).open()
    box = page.locator(".timeline svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"since=\d+&until=\d+"))
    expect(page.locator("table.alarms a.row").first).to_be_visible()
    expect(page.get_by_label("Time", exact=False).last).to_have_value("custom")


def test_events_are_shown_page_by_page_and_by_stage(visit: Visit) -> None:
    mock = MockConsole(60)
    detail = next(one for one in mock.alarms if one["event_count"] > 60)
    page = visit(mock).open(f"#/alarms/{detail['alarm']['id']}")
    events = page.locator("td.event")
    expect(events).to_have_count(50)
    page.get_by_role("button", name="Later").click()
    expect(events).to_have_count(min(50, detail["event_count"] - 50))
    page.get_by_label("Events of stage").select_option("1")
    expect(events).to_have_count(1)


def test_an_alarm_that_is_not_in_the_history_is_said(visit: Visit) -> None:
    watched = visit(MockConsole(3))
    watched.expected.add(404)
    page = watched.open("#/alarms/unknown99")
    expect(page.locator(".detail .empty h2")).to_have_text("No such alarm")


def test_times_are_in_the_zone_of_the_viewer_with_utc_on_hover(visit: Visit) -> None:
    mock = MockConsole(3)
    mock.alarms[0]["alarm"]["update_time"] = 1_772_000_000
    page = visit(mock).open()
    time = page.locator("table.alarms tbody tr").first.locator("time")
    expect(time).to_have_text("25 Feb 07:13")
    expect(time).to_have_attribute("title", "2026-02-25T06:13:20.000Z (UTC)")
