"""Hostile texts are shown as text, wherever they come from."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.shards.ops.console.conftest import Visit
from tests.support import hostile_texts
from tests.support.console_data import Document
from tests.support.console_mock import MockConsole

pytestmark = pytest.mark.integration

_FOREIGN_MARKUP = """() => {
  const bad = [...document.querySelectorAll(
    "img, iframe, object, embed, base, meta[http-equiv], form[action], mglyph, "
    + "a[href^='javascript']")];
  const handlers = [...document.querySelectorAll("*")].filter(
    (one) => one.getAttributeNames().some((name) => name.startsWith("on")));
  return [window.hacked, document.scripts.length, bad.length, handlers.length];
}"""
"""What must be undefined, 2, 0 and 0: the page has two scripts of its own."""


def hostile_copy(value: Any, text: str) -> Any:
    """A document with the text in place of each of its texts, but those that the page relies on."""
    if isinstance(value, list):
        return [hostile_copy(one, text) for one in value]
    if isinstance(value, dict):
        return {key: one if key in _KEPT else hostile_copy(one, text) for key, one in value.items()}
    return text if isinstance(value, str) else value


_KEPT = ("id", "risk_class", "state", "type", "kind")


def infect(mock: MockConsole, texts: tuple[str, ...]) -> None:
    """Put a hostile text into every alarm, backlog and more of the service."""
    alarms: list[Document] = []
    for number, text in enumerate(texts):
        detail = hostile_copy(mock.alarms[number], text)
        detail["record"] = {"alarm_id": detail["alarm"]["id"], "title": text, text: text}
        detail["custom_data"] += [{"label": text, "content": text}]
        detail["hits"] = [{"kind": "intel", "provider": text, "term": text, "result": text}]
        alarms.append(detail)
    mock.alarms = alarms
    mock.backlogs = [
        hostile_copy(one, texts[n]) for n, one in enumerate(mock.backlogs[: len(texts)])
    ]
    mock.flow_changes = {"warnings": list(texts), "missing": list(texts)}
    mock.incidents = [
        {"time": mock.started, "kind": "restart", "process": texts[0], "text": t} for t in texts
    ]
    mock.config_changes = {
        "trouble": texts[0],
        "folder": texts[0],
        "files": [{"name": text, "kind": "assets", "items": 1} for text in texts],
        "settings": [
            {"name": text, "flag": text, "variable": text, "group": text, "help": text}
            | {"value": text, "default": "", "source": "file", "place": text}
            for text in texts
        ],
    }


def check_nothing_ran(page: Page) -> None:
    """The page has no markup but its own, and nothing has run."""
    assert page.evaluate(_FOREIGN_MARKUP) == [None, 2, 0, 0]


def test_texts_that_would_run_are_shown_as_they_are_in_every_view(visit: Visit) -> None:
    mock = MockConsole(30)
    infect(mock, hostile_texts.SCRIPTS)
    watched = visit(mock)
    page = watched.open("#/alarms")
    titles = page.locator("table.alarms a.row")
    expect(titles).to_have_count(len(hostile_texts.SCRIPTS))
    assert titles.all_text_contents() == list(hostile_texts.SCRIPTS)
    check_nothing_ran(page)
    for detail in mock.alarms:
        watched.go(f"#/alarms/{detail['alarm']['id']}")
        expect(page.locator(".alarm-head .title")).to_have_text(detail["alarm"]["title"])
        page.locator("details.raw summary").last.click()
        check_nothing_ran(page)
    for place, sign in (
        ("#/backlogs", "table.backlogs a.row"),
        ("#/flow", ".incidents li"),
        ("#/config", "table.settings tr.set"),
    ):
        watched.go(place)
        expect(page.locator(sign).nth(len(hostile_texts.SCRIPTS) - 1)).to_be_attached()
        check_nothing_ran(page)


def test_characters_that_cannot_be_seen_are_made_visible(visit: Visit) -> None:
    mock = MockConsole(20)
    infect(mock, tuple(hostile_texts.HIDDEN))
    page = visit(mock).open("#/alarms")
    rows = page.locator("table.alarms a.row")
    for number, sign in enumerate(hostile_texts.HIDDEN.values()):
        expect(rows.nth(number).locator(".sign").first).to_have_text(sign)
    shown = "".join(rows.all_text_contents())
    assert not set(shown) & set("\u202e\u2066\x1b\x00\x07\x7f\u200b\ufeff\x9b\U000e0041")


def test_a_title_of_64_kb_is_cut_and_can_be_read_whole(visit: Visit) -> None:
    mock = MockConsole(3)
    mock.alarms[0]["alarm"]["title"] = hostile_texts.LONG
    watched = visit(mock, width=375)
    page = watched.open("#/alarms")
    expect(page.locator("table.alarms a.row").first).to_have_text("A" * 300 + "…")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    watched.go(f"#/alarms/{mock.alarms[0]['alarm']['id']}")
    more = page.get_by_role("button", name="more characters")
    more.click()
    more.click()
    expect(page.locator(".alarm-head .title")).to_have_text(hostile_texts.LONG)
    assert page.evaluate("document.documentElement.scrollWidth") == 375


@pytest.mark.parametrize(
    "template", ["javascript:alert({event_id})", "data:text/html,{event_id}", ""]
)
def test_only_web_addresses_are_links_to_events(visit: Visit, template: str) -> None:
    mock = MockConsole(3, event_link=template)
    page = visit(mock).open(f"#/alarms/{mock.alarms[0]['alarm']['id']}")
    expect(page.locator("td.event").first).to_be_visible()
    assert page.locator("td.event a").count() == 0


def test_an_event_id_cannot_change_where_its_link_leads(visit: Visit) -> None:
    mock = MockConsole(3, event_link="https://kibana.example/app?q={event_id}&a={alarm_id}")
    mock.event_changes = {"event_id": 'x&q=evil#/../"><script>'}
    id_ = mock.alarms[0]["alarm"]["id"]
    page = visit(mock).open(f"#/alarms/{id_}")
    expect(page.locator("td.event a").first).to_have_attribute(
        "href",
        f"https://kibana.example/app?q=x%26q%3Devil%23%2F..%2F%22%3E%3Cscript%3E&a={id_}",
    )
    expect(page.locator("td.event a").first).to_have_attribute("rel", "noopener noreferrer")


def test_the_answer_of_explain_is_shown_as_text(visit: Visit) -> None:
    mock = MockConsole(3)
    payload = hostile_texts.SCRIPTS[1]
    refusal = {"field": "from", "rule": payload, "wants": payload + "2", "got": payload}
    mock.explanation["verdicts"] = [
        {"verdict": "no_match", "detail": payload, "refusal": refusal | {"met": 1, "conditions": 2}}
    ]
    page = visit(mock).open("#/directives/1001")
    page.get_by_role("button", name="example for stage 1").click()
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".answer dd").first).to_contain_text(payload)
    check_nothing_ran(page)
