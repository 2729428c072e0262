"""The real engine behind the oracle's interface: JSON-like objects in, JSON-like objects out.

Everything passes through the bytes that it would pass through in service: documents, events,
alarm lines, and the saved state.
"""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.alarm import PublishedAlarm, alarm_id, directive_salt
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.directive_set import DirectiveSet
from engine.correlation.outputs import Outputs
from engine.correlation.snapshot import BacklogSnapshot
from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.directives.packed_directives import PackedDirectives
from engine.dsiem_format.saved_alarm import are_portable, snapshot_from_alarm
from engine.dsiem_format.saved_document import parse_saved_alarms
from engine.event import NormalizedEvent, decode_event
from engine.options import Options as EngineOptions
from tests.support.oracle import Options, Output
from tests.support.saved_backlogs import save_backlogs

Json = dict[str, Any]


class EngineUnderTest:
    """The engine, told and asked as the oracle is."""

    def __init__(self, assets: list[Json], directives: list[Json], options: Options) -> None:
        self._options = _engine_options(options)
        self._ids: set[int] = set()
        """Those of all directives so far."""
        self._configure(assets, directives)
        self._names: dict[str, str] = {}
        """The oracle's name of each alarm id: directive/opening event."""
        self._identities: dict[str, list[int]] = {}
        """By event id: the identities of the events that had it, in order."""
        self.correlator = self._fresh()

    def _configure(self, assets: list[Json], directives: list[Json]) -> None:
        parsed_assets, findings = parse_assets(msgspec.json.encode({"assets": assets}))
        assert not [finding for finding in findings if not finding.warning], findings
        checked = list(parse_directives(msgspec.json.encode({"directives": directives})))
        faults = [f for item in checked for f in item.findings if not f.warning]
        assert not faults, faults
        self._directives = [item.directive for item in checked if item.directive is not None]
        self._ids |= {directive.id for directive in self._directives}
        self._assets = NetworkAssets(parsed_assets)

    def reload(self, assets: list[Json], directives: list[Json], now: int) -> Output:
        """Go on with another configuration."""
        self._configure(assets, directives)
        outputs = Outputs()
        self.correlator.reload(self._directive_set(), now, outputs, lookups=True)
        return self._output(outputs)

    def _directive_set(self) -> DirectiveSet:
        """The directives as workers have them."""
        return DirectiveSet(PackedDirectives.pack(self._directives), self._assets)

    @property
    def open_backlogs(self) -> int:
        return len(self.correlator)

    def event(self, event: Json, now: int) -> Output:
        decoded = self.name(event)
        if self._assets.address_info(decoded.src_ip).whitelisted:
            return self.tick(now)  # as the router does: dropped before correlation
        return self._output(self.correlator.process_event(decoded, now))

    def name(self, event: Json) -> NormalizedEvent:
        """Give an event its name, as the oracle does; an engine may not get all events."""
        decoded = decode_event(json.dumps(event).encode())
        identities = self._identities.setdefault(decoded.event_id, [])
        if decoded.identity not in identities:
            identities.append(decoded.identity)
        number = identities.index(decoded.identity)
        name = f"{decoded.event_id}#{number}" if number else decoded.event_id
        for id_ in self._ids:
            salt = directive_salt(self._options.node, id_)
            self._names[alarm_id(decoded.identity ^ salt)] = f"{id_}/{name}"
        return decoded

    def tick(self, now: int) -> Output:
        return self._output(self.correlator.advance_time(now))

    def end(self) -> Output:
        return self._output(self.correlator.write_pending())

    def save_and_restore(self) -> None:
        """Save all backlogs, and go on with a new engine that has read them."""
        saved = msgspec.json.encode(self.correlator.snapshots())
        self.restart(msgspec.json.decode(saved, type=list[BacklogSnapshot]))

    def save_and_restore_as_peers(self) -> None:
        """As save_and_restore, through the documents that dsiem-backend writes and reads.

        A service writes what is pending before; the documents do not hold that. Directives that
        dsiem-backend would read otherwise have no document: they are in the checkpoint alone.
        """
        backlogs = self.correlator.open_backlogs()
        kept = [
            state
            for state in self.correlator.snapshots()
            if not are_portable(backlogs[state.directive])
        ]
        own = {state.directive for state in kept}
        pending = {state.key for state in self.correlator.snapshots() if state.line_pending}
        saved = {
            key: msgspec.json.encode(alarms)
            for key, alarms in save_backlogs(self.correlator).items()
            if key not in own
        }
        documents = {key: parse_saved_alarms(document) for key, document in saved.items()}
        read = (
            msgspec.structs.replace(
                state, order=order, line_pending=state.key in pending, ids_only=False
            )
            for directive in self._directives
            if directive.id in documents
            for order, alarm in enumerate(documents[directive.id].alarms)
            for state in [snapshot_from_alarm(alarm, directive, self._options)]
        )
        self.restart([*kept, *read])

    def restart(self, states: Iterable[BacklogSnapshot]) -> None:
        """Go on with a new engine that has these backlogs."""
        earlier, self.correlator = self.correlator.memory, self._fresh()
        assert self.correlator.restore(states) == []
        for name in ("taken", "written"):
            stamps = getattr(earlier, name).stamps
            saved = [(key, *stamp) for key, stamp in stamps.items()]
            getattr(self.correlator.memory, name).restore(saved)
        cool_downs = earlier.cool_downs.last_begun(len(earlier.cool_downs))
        self.correlator.memory.cool_downs.restore(cool_downs)
        # A service forgets these at a restart: they only lead to a count.
        self.correlator.memory._identities = earlier._identities

    def _fresh(self) -> Correlator:
        return Correlator.of(self._directive_set(), self._options)

    def _output(self, outputs: Outputs) -> Output:
        return Output(
            alarm_events=[self._named(record) for record in outputs.alarm_events],
            alarms=[self._named(publish.alarm) for publish in outputs.published],
            counts=outputs.counts,
            due=[
                self._due(publish) for publish in outputs.published if publish.lookups is not None
            ],
        )

    def _named(self, record: msgspec.Struct) -> Json:
        """A record as its line says it, with the oracle's name for its id."""
        line: Json = json.loads(msgspec.json.encode(record))
        return line | {"alarm_id": self._names[line["alarm_id"]]}

    def _due(self, publish: PublishedAlarm) -> Json:
        assert publish.lookups is not None
        return {
            "alarm_id": self._names[publish.alarm.alarm_id],
            "addresses": list(publish.lookups.addresses),
            "pairs": [f"{address}:{port}" for address, port in publish.lookups.pairs],
        }


def _engine_options(options: Options) -> EngineOptions:
    return EngineOptions(**dataclasses.asdict(options), lookups=True, track_changes=True)
