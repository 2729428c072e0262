"""The cost of the console, and how soon it shows something: `python benchmarks/bench_console.py`.

A service without the console, one with it, and that one with three open pages take turns, with
50 new alarms in a second and a full history; events come at 50,000 in a second, and as fast as
they are taken. What the service costs is its CPU time for an event.
"""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.console.alarm_load import KEPT_ALARMS, AlarmLoad, Run, open_pages, service
from benchmarks.console.screen import delays, first_view
from benchmarks.support import report
from benchmarks.support.measure import Figure
from tests.support.browser import run_browser

PAGES = 3
WITHOUT, WITH = 19_091, 19_092
"""Ports of the ops servers."""


def cost(quick: bool) -> list[Figure]:
    """By how much an event gets dearer, at 50,000 events/s and in a flood."""
    seconds, repeats, alarms = (3.0, 3, 5_000) if quick else (5.0, 5, KEPT_ALARMS)
    with service(WITHOUT, console=False) as off, service(WITH, console=True) as on:
        without, with_ = AlarmLoad(off), AlarmLoad(on)
        with_.fill(alarms)
        return [
            *_compare(without, with_, "at 50,000 events/s", (seconds, repeats, True)),
            *_compare(without, with_, "in a flood", (seconds, repeats, False)),
        ]


def _compare(
    without: AlarmLoad, with_: AlarmLoad, when: str, plan: tuple[float, int, bool]
) -> list[Figure]:
    """Figures of runs in turns. `plan`: seconds and number of runs, and whether they are paced."""
    seconds, repeats, paced = plan
    runs: dict[str, list[Run]] = {"off": [], "closed": [], "open": []}
    turns = {"off": (without, 0), "closed": (with_, 0), "open": (with_, PAGES)}
    for number in range(repeats + 1):
        for name in (*turns,) if number % 2 else reversed((*turns,)):
            load, pages = turns[name]
            with open_pages(WITH, pages):
                run = load.run(seconds, paced=paced)
            if number:  # the first runs are to warm up
                runs[name].append(run)

    def fall(name: str) -> float:
        pairs = zip(runs[name], runs["off"], strict=True)
        return 100 * (1 - median(base.micros / run.micros for run, base in pairs))

    def share(name: str) -> float:
        pairs = zip(runs[name], runs["off"], strict=True)
        return 100 * median((run.micros - base.micros) * 1e-6 * run.rate for run, base in pairs)

    target = None if paced else 3.0
    rates = {name: median(run.rate for run in runs[name]) for name in runs}
    return [
        Figure("cost", f"{when}: rate without the console", rates["off"], "events/s"),
        Figure("cost", f"  with {PAGES} open pages", rates["open"], "events/s"),
        Figure("cost", "  CPU of an event without the console", _micros(runs["off"]), "µs"),
        Figure("cost", "  with the console, and no page open", _micros(runs["closed"]), "µs"),
        Figure("cost", f"  with {PAGES} open pages", _micros(runs["open"]), "µs"),
        Figure("cost", "  CPU of the console, no page open", share("closed"), "% of a CPU"),
        Figure("cost", f"  CPU of the console, {PAGES} open pages", share("open"), "% of a CPU"),
        Figure("cost", "  fewer events of the same CPU, no page", fall("closed"), "%", target),
        Figure("cost", f"  fewer with {PAGES} open pages", fall("open"), "%", target),
    ]


def _micros(runs: Sequence[Run]) -> float:
    return median(run.micros for run in runs)


def screen(quick: bool) -> list[Figure]:
    """How soon a browser shows the list, and a new alarm, while all this happens."""
    seconds, repeats, alarms = (5.0, 3, 5_000) if quick else (30.0, 9, KEPT_ALARMS)
    url = f"http://127.0.0.1:{WITH}/"
    with service(WITH, console=True) as on, run_browser() as browser:
        load = AlarmLoad(on)
        load.fill(alarms)
        with _running(load), open_pages(WITH, PAGES - 1):
            first_view(browser, url)  # the first one is to warm up the browser
            views = [first_view(browser, url) for _ in range(repeats)]
            found = delays(browser, url, on.alarm_events.with_name("siem_alarms.json"), seconds)
    return [
        Figure("screen", "first view, median", median(views), "s", 1.0),
        Figure("screen", "  slowest", max(views), "s"),
        Figure("screen", "alarm on the screen, median", median(found), "s"),
        Figure("screen", "  99 of 100", found[int(0.99 * len(found))], "s", 1.0),
        Figure("screen", "  slowest", found[-1], "s"),
        Figure("screen", "alarms measured", len(found), ""),
    ]


@contextmanager
def _running(load: AlarmLoad) -> Iterator[None]:
    """The load at 50,000 events/s while the context is active."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            load.run(1.0, paced=True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    sections = {"cost": cost, "screen": screen}
    sys.exit(report.run(__doc__, "the console", "bench_console", sections))
