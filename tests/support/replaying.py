"""A small company for replay: its config, events of it, and the replay command run on them.

Directive 1: a login failure, then two more from the same address within 60 s.
Directive 2: a denied connection, then three different ports within 60 s.
"""

import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from loguru import logger

import cli

Json = dict[str, Any]

START = datetime(2025, 3, 4, 8, 0, 0, tzinfo=UTC)
AT_START = 1741075200
LOGIN, LOGIN_AGAIN, DENIED, DENIED_AGAIN = 1, 2, 3, 4
"""The plugin_sids of the rules."""
ASSETS = [
    {"name": "lan", "cidr": "10.0.0.0/8", "value": 2},
    {"name": "www", "cidr": "10.0.0.80", "value": 5},
    {"name": "scanner", "cidr": "10.0.0.99", "value": 1, "whitelisted": True},
]


def rule(stage: int, sid: int, **more: Any) -> Json:
    fields = {"name": "r", "type": "PluginRule", "stage": stage, "occurrence": 1}
    fields |= {"plugin_id": 1001, "plugin_sid": [sid], "from": "ANY", "to": "ANY"}
    return fields | {"reliability": 5, "timeout": 60} | more


def directive(id_: int, *rules: Json, **more: Any) -> Json:
    fields = {"id": id_, "name": f"directive {id_}", "kingdom": "k", "category": "c"}
    return fields | {"priority": 5, "rules": rules} | more


BRUTE_FORCE = directive(
    1,
    rule(1, LOGIN),
    rule(2, LOGIN_AGAIN, occurrence=2, reliability=10, **{"from": ":1"}),
)
SCAN = directive(
    2,
    rule(1, DENIED),
    rule(2, DENIED_AGAIN, occurrence=3, sticky_different="DST_PORT", **{"from": ":1"}),
)


def event(id_: str, seconds: float, sid: int, /, **more: Any) -> Json:
    """An event so many seconds after the start."""
    time = (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    fields = {"event_id": id_, "timestamp": time, "sensor": "s", "plugin_id": 1001}
    return fields | {"plugin_sid": sid, "src_ip": "192.0.2.1", "dst_ip": "10.0.0.1"} | more


def ndjson(*lines: Json | str | bytes) -> bytes:
    """Lines as bytes: objects as JSON, others as they are."""
    return b"".join(_bytes(line) + b"\n" for line in lines)


def _bytes(line: Json | str | bytes) -> bytes:
    text = json.dumps(line) if isinstance(line, dict) else line
    return text.encode() if isinstance(text, str) else text


def write_config(
    directives: Iterable[Json] = (BRUTE_FORCE, SCAN),
    assets: Iterable[Json] = ASSETS,
    folder: str = "conf",
) -> None:
    """A config folder in the current folder."""
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "assets_a.json").write_text(json.dumps({"assets": list(assets)}))
    Path(folder, "directives_a.json").write_text(json.dumps({"directives": list(directives)}))


def read_lines(path: str) -> list[Json]:
    """The lines of an output file, each of them whole."""
    content = Path(path).read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


class Replayed(NamedTuple):
    """What the command did, and what it left."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> Json:
        """What --format json said."""
        document: Json = json.loads(self.out)
        return document

    @property
    def ledger(self) -> Json:
        """The ledger, without what is zero."""
        return {
            part: {name: count for name, count in counts.items() if count}
            for part, counts in self.summary["ledger"].items()
            if part in ("events", "deliveries", "outcomes", "backlogs")
        }

    @property
    def alarms(self) -> list[Json]:
        return read_lines("logs/siem_alarms.json")

    @property
    def alarm_events(self) -> list[Json]:
        return read_lines("logs/siem_alarm_events.json")


class Replay(NamedTuple):
    """Runs the command on events, with a config in the folder `conf`."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *lines: Json | str | bytes, options: Iterable[str] = ()) -> Replayed:
        Path("events.ndjson").write_bytes(ndjson(*lines))
        return self.of("events.ndjson", *options)

    def of(self, *arguments: str) -> Replayed:
        """With these files and options."""
        folders = ("--config-dir", "conf", "--log-dir", "logs", "--format", "json")
        code = cli.main(["replay", *folders, *arguments])
        return Replayed(code, *self.capsys.readouterr())


def replaying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Replay]:
    """The command in a folder of its own; for a fixture to yield from."""
    for name in [name for name in os.environ if name.startswith("DSIEM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    write_config()
    yield Replay(capsys)
    logger.remove()
