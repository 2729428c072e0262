"""Publishes the alarms of backlogs, and remembers how far those that were written are.

An alarm never goes back: another backlog of the same opening event may have written a line of it
with more finished stages. A file of its own, since the directives of a shard share it.
"""

from engine.correlation.alarm_builder import publish
from engine.correlation.backlog import Backlog
from engine.correlation.cool_downs import CoolDown
from engine.correlation.memory import Memory
from engine.correlation.outputs import Outputs
from engine.directives.field import MAX_NUMBER


class Publisher:
    """Publishes alarms of all directives."""

    __slots__ = ("_memory",)

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def publish(
        self,
        backlog: Backlog,
        now: int,
        outputs: Outputs,
        *,
        with_lookups: bool = False,
        timed_out: bool = False,
    ) -> None:
        """Publish the alarm of a backlog, unless its risk is 0, or it would go back."""
        if not backlog.risk:
            return
        if backlog.shares_alarm and self._memory.is_outdated(
            backlog.alarm_id, len(backlog.starts) - 1, now
        ):
            outputs.count("outdated")
            return
        alarm = publish(backlog, with_lookups=with_lookups, timed_out=timed_out)
        outputs.published.append(alarm)
        if backlog.shares_alarm:
            self.remember(backlog, now)

    def remember(self, backlog: Backlog, now: int) -> None:
        """Remember how many finished stages the lines of this alarm have, if there is one.

        Another backlog may have written one with more of them.
        """
        published = backlog.published
        if published and not self._memory.is_outdated(backlog.alarm_id, published, now):
            self._memory.written.put(backlog.alarm_id, (now, published))

    def finish(self, backlog: Backlog, now: int) -> None:
        """Remember the alarm of a backlog whose last stage is finished; its cool-down begins."""
        self.remember(backlog, now)
        compiled = backlog.compiled
        if compiled.suppress and backlog.risk:
            key, seconds = compiled.finished_key(backlog.bound), compiled.suppress.seconds
            until = min(now + seconds, MAX_NUMBER)  # the checkpoint has no larger numbers
            self._memory.cool_downs.begin(CoolDown(key, compiled.directive.id, until, seconds))

    def find_predecessor(self, backlog: Backlog, open_one: Backlog | None, now: int) -> None:
        """Note whether an alarm has the id of this backlog already, which is to be added.

        That is so if the same event opens a backlog again after it was forgotten as taken.
        `open_one`: the backlog that it has opened before, if that is open; then the new one gets
        another key.
        """
        if open_one is not None:
            backlog.opened_by = f"{backlog.opened_by} {backlog.order}"
            open_one.shares_alarm = True
            self.remember(open_one, now)
        elif self._memory.written.get(backlog.alarm_id, now) is None:
            return
        backlog.shares_alarm = True
