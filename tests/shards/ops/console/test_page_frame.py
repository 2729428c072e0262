"""What all views share, in a real browser: login, keyboard, themes, lost service, accessibility."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.shards.ops.console.conftest import Visit
from tests.support.console_mock import MockConsole

pytestmark = pytest.mark.integration

VIEWS = ("Alarms", "Backlogs", "Directives", "Flow", "Config")
WIDTHS = (375, 1280)
OF_COLORS = {"runOnly": ["color-contrast", "link-in-text-block"], "resultTypes": ["violations"]}


def violations(page: Page) -> list[str]:
    """What axe-core finds, one line for each rule; in the dark theme only colors are others."""
    found = Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="dark")
    found += Axe().run(page, options=OF_COLORS).response["violations"]
    page.emulate_media(color_scheme="light")
    return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_view_has_a_violation_of_accessibility(visit: Visit, width: int) -> None:
    mock = MockConsole(20, token="secret")
    mock.reload_outcome = "refused"
    watched = visit(mock, width=width)
    watched.expected |= {401, 422}
    page = watched.open()
    expect(page.get_by_label("Token")).to_be_focused()
    found = {"login": violations(page)}
    page.get_by_label("Token").fill("secret")
    page.get_by_role("button", name="Log in").click()
    alarm = mock.alarms[0]["alarm"]["id"]
    for place, ready in (
        ("#/alarms", "table.alarms a.row"),
        (f"#/alarms/{alarm}", "td.event"),
        ("#/alarms?group=directive", "table.groups a.row"),
        ("#/alarms?text=nothing", ".empty"),
        ("#/backlogs", "table.backlogs a.row"),
        (f"#/backlogs/{mock.backlogs[0]['id']}", ".detail .facts"),
        ("#/directives", "table.directives a.row"),
        ("#/directives/1001", ".explain"),
        ("#/flow", ".incidents li"),
        ("#/config", "table.settings"),
    ):
        watched.go(place)
        expect(page.locator(ready).first).to_be_attached()
        if place == "#/config":
            page.get_by_role("button", name="Reload the configuration").click()
            expect(page.locator(".problem")).to_have_count(2)
        found[place] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width, place
    page.get_by_role("button", name="Help and shortcuts").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found["help"] = violations(page)
    assert [f"{place} {line}" for place, lines in found.items() for line in lines] == []


def test_each_view_has_a_number_and_the_back_button_returns(visit: Visit) -> None:
    page = visit(MockConsole(20)).open()
    expect(page.locator("table.alarms a.row")).to_have_count(20)
    current = page.locator(".views a[aria-current=page]")
    for number, name in enumerate(VIEWS, 1):
        page.keyboard.press(str(number))
        expect(current).to_have_text(name)
        expect(page).to_have_title(f"{name} · Dsiem Shards")
    page.go_back()
    expect(current).to_have_text("Flow")


def test_keys_move_open_and_close(visit: Visit) -> None:
    mock = MockConsole(20)
    page = visit(mock).open()
    links = page.locator("table.alarms a.row")
    expect(links).to_have_count(20)
    page.keyboard.press("j")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator(".alarm-head .title")).to_have_text(mock.alarms[0]["alarm"]["title"])
    page.keyboard.press("j")  # the detail is beside the list, and follows
    expect(page).to_have_url(re.compile(mock.alarms[1]["alarm"]["id"]))
    page.keyboard.press("Escape")
    expect(page.locator(".alarm-head")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_shortcuts_can_be_turned_off(visit: Visit) -> None:
    page = visit(MockConsole(5)).open()
    expect(page.locator("table.alarms a.row")).to_have_count(5)
    page.keyboard.press("?")
    page.get_by_label("Shortcuts of single keys").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("2")
    page.keyboard.press("?")
    expect(page.locator(".views a[aria-current=page]")).to_have_text("Alarms")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_wrong_token_is_said_and_a_right_one_stays(visit: Visit) -> None:
    watched = visit(MockConsole(5, token="secret"))
    watched.expected.add(401)
    page = watched.open("#/alarms")
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The token is wrong.")
    page.keyboard.type("secret")  # what was wrong is selected
    page.keyboard.press("Enter")
    expect(page.locator("table.alarms a.row")).to_have_count(5)
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("table.alarms a.row")).to_have_count(5)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_login_that_ends_asks_for_the_token_and_comes_back_to_the_place(visit: Visit) -> None:
    mock = MockConsole(5, token="secret")
    watched = visit(mock)
    watched.expected.add(401)
    page = watched.open("#/directives/1001")
    page.get_by_label("Token").fill("secret")
    page.keyboard.press("Enter")
    expect(page.locator(".explain")).to_be_visible()
    mock.token = "another"
    watched.go("#/alarms")
    page.get_by_label("Token").fill("another")
    page.keyboard.press("Enter")
    expect(page.locator("table.alarms a.row")).to_have_count(5)


def test_a_service_that_goes_is_said_and_one_that_comes_back_is_found(visit: Visit) -> None:
    mock = MockConsole(5)
    watched = visit(mock)
    watched.may_lose_service = True
    page = watched.open()
    links = page.locator("table.alarms a.row")
    expect(links).to_have_count(5)
    mock.down = True
    expect(page.locator(".banner")).to_contain_text("The service does not answer")
    expect(links).to_have_count(5)
    mock.add_alarm()
    mock.down = False
    expect(links).to_have_count(6)
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator(".health")).to_contain_text("Ready")


def test_a_page_too_many_says_that_it_has_no_live_updates(visit: Visit) -> None:
    mock = MockConsole(5)
    mock.refuses_streams = True
    watched = visit(mock)
    watched.expected.add(503)
    page = watched.open()
    expect(page.locator(".banner")).to_contain_text("sends no live updates")
    expect(page.locator("table.alarms a.row")).to_have_count(5)
    mock.refuses_streams = False
    expect(page.locator(".banner")).to_have_count(0)


def test_a_page_that_is_opened_before_the_service_waits_for_it(visit: Visit) -> None:
    mock = MockConsole(5)
    watched = visit(mock)
    watched.may_lose_service = True
    page = watched.open("#/flow")
    expect(page.locator(".flow")).to_be_visible()
    mock.down = True
    watched.go("#/alarms")
    expect(page.get_by_role("alert")).to_contain_text("It is tried again.")
    mock.down = False
    expect(page.locator("table.alarms a.row")).to_have_count(5)


def test_the_chosen_theme_stays(visit: Visit) -> None:
    watched = visit(MockConsole(5), theme="light")
    page = watched.open()
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    expect(page.locator("table.alarms a.row")).to_have_count(5)
    assert page.evaluate(background) == dark


def test_three_clicks_on_a_filter_are_three_steps_back(visit: Visit) -> None:
    page = visit(MockConsole(30)).open("#/alarms")
    for name in ("High", "Medium"):
        page.get_by_role("button", name=re.compile(f"^{name}")).click()
    expect(page).to_have_url(re.compile(r"risk=High%2CMedium"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"risk=High$"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"#/alarms$"))
