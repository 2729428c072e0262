"""What a browser shows of the console, measured in Chromium: the first view, and new alarms."""

import threading
import time
from pathlib import Path

import msgspec
from msgspec import Struct
from playwright.sync_api import Browser

NOTE_ALARMS = """
window.seen = {};
const note = () => {
  for (const row of document.querySelectorAll("table.alarms a.row"))
    seen[row.hash.split("/")[2].split("?")[0]] ??= Date.now() / 1000;
};
addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => requestAnimationFrame(note)).observe(document.body,
    { childList: true, subtree: true, characterData: true, attributes: true });
});
"""
"""Notes when a row of each alarm is first painted."""
_TIMEOUT_MS = 20_000


class AlarmTail(threading.Thread):
    """Follows the alarm file. `written`: when the first line of each alarm could be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.written: dict[str, float] = {}
        self._file = path.open("rb")
        self._file.seek(0, 2)
        self._ended = threading.Event()

    def run(self) -> None:
        """Read new lines every two milliseconds."""
        rest = b""
        while not self._ended.wait(0.002):
            data, now = self._file.read(), time.time()
            complete, _, rest = (rest + data).rpartition(b"\n")
            for line in complete.splitlines():
                self.written.setdefault(_decode(line).alarm_id, now)

    def close(self) -> None:
        """Stop following the file."""
        self._ended.set()
        self.join()
        self._file.close()


class _Line(Struct):
    alarm_id: str


_decode = msgspec.json.Decoder(_Line).decode


def first_view(browser: Browser, url: str) -> float:
    """Seconds from the request for the page, without a cache, until its first rows are painted."""
    context = browser.new_context()
    page = context.new_page()
    started = time.monotonic()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("table.alarms a.row", timeout=_TIMEOUT_MS)
    seconds = time.monotonic() - started
    context.close()
    return seconds


def delays(browser: Browser, url: str, alarms: Path, seconds: float) -> list[float]:
    """Seconds from the line of each new alarm in the file until its row is painted, in order."""
    context = browser.new_context()
    context.add_init_script(NOTE_ALARMS)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("table.alarms a.row", timeout=_TIMEOUT_MS)
    tail = AlarmTail(alarms)
    tail.start()
    page.wait_for_timeout(1000 * seconds)
    written = dict(tail.written)
    page.wait_for_timeout(3000)
    tail.close()
    seen: dict[str, float] = page.evaluate("window.seen")
    context.close()
    if missing := written.keys() - seen.keys():
        raise RuntimeError(f"{len(missing)} of {len(written)} alarms are not on the screen")
    return sorted(seen[id_] - at for id_, at in written.items())
