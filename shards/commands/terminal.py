"""Output for people: plain lines to stdout and stderr, and a progress bar.

A file of its own, since every command uses it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from shards.safe_text import escape_control


def print_line(text: str) -> None:
    """A line of what was asked for, to stdout."""
    sys.stdout.write(f"{text}\n")


def print_error(text: str) -> None:
    """A line about it, to stderr."""
    sys.stderr.write("\n".join(map(escape_control, text.split("\n"))) + "\n")


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal while something of `total` bytes is read; gives what advances it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("replaying"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=total or None)
        yield lambda step: bar.advance(task, step)
