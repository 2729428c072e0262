"""Takes the pictures of docs/console.md: `python docs/console_images.py`.

They show generated data, from the server that tests use; needs the development packages, and
chromium.
"""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PIL import Image
from playwright.sync_api import Page

from tests.support.browser import Theme, WatchedPage, run_browser
from tests.support.console_mock import MockConsole, run_mock

FOLDER = Path(__file__).resolve().parent / "images"
_REFUSAL = {"field": "from", "rule": ":1", "wants": "203.0.113.46", "got": "203.0.113.99"}
_VERDICTS = [
    {"verdict": "opened", "directive": 1001, "stage": 1, "count": 1, "needed": 1},
    {"verdict": "no_match", "directive": 1001, "stage": 3, "backlog": "2zgdF5_To"}
    | {"refusal": _REFUSAL | {"met": 4, "conditions": 5}},
]


def explain(page: Page) -> None:
    """Explain an example, and show the answer."""
    page.get_by_role("button", name="example for stage 3").click()
    page.get_by_role("button", name="Explain").click()
    page.locator(".answer").scroll_into_view_if_needed()


def reload(page: Page) -> None:
    """Reload with a fault."""
    page.get_by_role("button", name="Reload the configuration").click()
    page.locator(".problem").first.wait_for()


def kill_worker(mock: MockConsole) -> None:
    """A worker has died."""
    flow = mock.make_flow()
    flow["workers"][1] |= {"up": False, "ready": False, "restarts": 1, "events_per_second": 0.0}
    flow["workers"][1]["queue"] = 14_020
    mock.flow_changes = {
        "workers": flow["workers"],
        "ready": False,
        "missing": ["worker-1 is not running"],
    }


def nothing(_: object) -> None:
    """Leave it as it is."""


def main() -> None:
    """Write all pictures."""
    mock = MockConsole(400, token="secret", event_link="https://kibana.example/?q={event_id}")
    mock.reload_outcome = "refused"
    mock.explanation["directives"] = [
        {"directive": 1001, "name": "", "shard": 1, "open_backlogs": 2, "verdicts": _VERDICTS}
    ]
    alarm = next(
        one["alarm"]["id"]
        for one in mock.alarms
        if one["alarm"]["risk_class"] == "High" and one["hits"]
    )
    pictures: tuple[tuple[str, str, int, Theme, Callable[[Page], None]], ...] = (
        ("console-alarms", "#/alarms?risk=High,Medium", 1280, "light", nothing),
        ("console-alarm", f"#/alarms/{alarm}?risk=High", 1280, "dark", nothing),
        ("console-backlogs", "#/backlogs?sort=expires", 1280, "light", nothing),
        ("console-directive", "#/directives/1001", 1280, "light", explain),
        ("console-flow", "#/flow", 1280, "light", nothing),
        ("console-config", "#/config", 1280, "light", reload),
        ("console-phone", "#/alarms", 375, "dark", nothing),
    )
    with run_browser() as browser, run_mock(mock) as url:
        for name, place, width, theme, act in pictures:
            (kill_worker if name == "console-flow" else nothing)(mock)
            watched = WatchedPage(browser, url, width, theme)
            page = watched.open(place)
            page.get_by_label("Token").fill("secret")
            page.keyboard.press("Enter")
            page.locator(".health.good, .health.bad").wait_for()
            act(page)
            time.sleep(1)  # until nothing moves
            save(FOLDER / f"{name}.png", page.screenshot())
            watched.context.close()
            mock.flow_changes = {}


def save(path: Path, picture: bytes) -> None:
    """Write a picture with 256 colours, less than half of the size."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(256, kmeans=3).save(path, optimize=True)


if __name__ == "__main__":
    main()
