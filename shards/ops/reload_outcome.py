"""What became of a reload of the configuration: for the log, POST /reload, /status and metrics.

A file of its own: the supervisor makes it, and need not load the libraries of a server.
"""

from typing import Any, Literal, get_args

from loguru import logger
from msgspec import Struct

from shards.config.generation import ConfigChanges, LoadResult

MAX_IDS = 1000
"""Ids of directives that a document has of each kind."""

Trigger = Literal["start", "SIGHUP", "POST /reload", "watch", "frontend-poll"]
"""What a load of the configuration was asked by."""
Result = Literal["changed", "unchanged", "failed"]
RELOAD_RESULTS: tuple[Result, ...] = get_args(Result)
"""`unchanged`: the configuration is the one that runs. `failed`: the one before it goes on."""


class ReloadOutcome(Struct, frozen=True, kw_only=True):
    """What became of a reload.

    `generation`: the one that runs after it. `changes`: what it has changed; none if it failed.
    `problems`, `unlisted`: as in a LoadResult; after a success only warnings and lints. `error`:
    why it failed as a whole, such as a missing folder, or "". `at`: its end, in seconds since the
    epoch.
    """

    generation: int
    successful: bool
    trigger: Trigger
    at: float
    milliseconds: int
    changes: ConfigChanges = ConfigChanges()
    problems: list[dict[str, Any]] = []
    unlisted: str = ""
    error: str = ""

    @property
    def result(self) -> Result:
        """One word for it."""
        if not self.successful:
            return "failed"
        return "changed" if self.changes.any else "unchanged"

    @property
    def faults(self) -> int:
        """Number of the listed faults."""
        return sum(problem["severity"] == "fault" for problem in self.problems)

    @property
    def reason(self) -> str:
        """Why it failed, in a line; "" if it did not."""
        if self.successful or self.error:
            return self.error
        faults = "1 fault" if self.faults == 1 else f"{self.faults} faults"
        more = " or more" if self.unlisted else ""
        return f"the configuration has {faults}{more}"

    @property
    def trouble(self) -> str:
        """The warning of /readyz and /status while this is the last reload, or ""."""
        if self.successful:
            return ""
        goes_on = f"generation {self.generation} goes on"
        return f"the last reload ({self.trigger}) has failed, {goes_on}: {self.reason}"

    def document(self) -> dict[str, Any]:
        """It as JSON; docs/operate.md describes it, and other programs rely on the keys."""
        changes = self.changes
        return {
            "result": self.result,
            "generation": self.generation,
            "trigger": self.trigger,
            "time": self.at,
            "milliseconds": self.milliseconds,
            "directives": {
                "added": _first_ids(changes.added),
                "changed": _first_ids(changes.changed),
                "removed": _first_ids(changes.removed),
                "unchanged": changes.unchanged,
            },
            "assets_changed": changes.assets,
            "lookups_changed": changes.lookups,
            "error": self.reason,
            "problems": self.problems,
            "unlisted": self.unlisted,
        }

    def log(self) -> None:
        """Log each problem, and then one line that says what became of the reload."""
        log_problems(self)
        bound = logger.bind(trigger=self.trigger, milliseconds=self.milliseconds)
        if not self.successful:
            bound.bind(faults=self.faults, why=self.reason).error(
                f"the configuration is not reloaded, generation {self.generation} goes on"
            )
        elif self.result == "unchanged":
            bound.bind(generation=self.generation).info("configuration is unchanged")
        else:
            changes = self.changes
            bound.bind(
                generation=self.generation,
                added=len(changes.added),
                changed=len(changes.changed),
                removed=len(changes.removed),
                unchanged=changes.unchanged,
            ).info("configuration reloaded")


def log_problems(of: ReloadOutcome | LoadResult) -> None:
    """Log the listed problems, and that there are others."""
    for problem in of.problems:
        (logger.error if problem["severity"] == "fault" else logger.warning)(problem["text"])
    if of.unlisted:
        logger.warning(of.unlisted)


def _first_ids(ids: list[int]) -> dict[str, Any]:
    return {"count": len(ids), "ids": ids[:MAX_IDS]}
