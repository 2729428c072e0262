"""Reads what the history keeps of an alarm from its line."""

from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec
from msgspec import Struct

from engine.alarm import CustomData, Hit
from shards.ipc.queries import AlarmAbout

MAX_TITLE = 300
_MAX_SEARCH = 16_384
"""Characters that a text filter looks at."""


class AlarmRule(Struct, frozen=True):
    """What is read of a rule in the line of an alarm."""

    status: str = ""
    start_time: int = 0


class AlarmLine(Struct, frozen=True):
    """What is read of the line of an alarm."""

    alarm_id: str
    title: str
    status: str
    tag: str
    kingdom: str
    category: str
    update_time: int
    risk: int
    risk_class: str
    rules: list[AlarmRule]
    src_ips: list[str]
    dst_ips: list[str]
    created_time: int = 0
    intel_hits: list[Hit] = []
    vulnerabilities: list[Hit] = []
    custom_data: list[CustomData] = []


decode_line = msgspec.json.Decoder(AlarmLine).decode
"""Reads a line; MsgspecError if it is not that of an alarm."""
NO_DETAILS = AlarmAbout(0, {})


class Progress(Struct, frozen=True):
    """How far an alarm is; `stage`: the last one that an event has reached."""

    state: str
    stage: int
    finished: int


def progress_of(rules: Sequence[AlarmRule]) -> Progress:
    """How far an alarm with these rules is."""
    finished = sum(rule.status == "finished" for rule in rules)
    is_timeout = any(rule.status == "timeout" for rule in rules)
    state = "timeout" if is_timeout else "finished" if finished == len(rules) else "open"
    return Progress(state, min(finished + 1, len(rules)), finished)


def search_text(line: AlarmLine, names: Mapping[str, str]) -> str:
    """What a text filter looks at, case folded, with a line end between any two texts."""
    texts = (
        line.alarm_id,
        line.title,
        line.kingdom,
        line.category,
        *islice(line.src_ips, 200),
        *islice(line.dst_ips, 200),
        *names.values(),
        *(custom.content for custom in islice(line.custom_data, 50)),
    )
    return "\n".join(texts)[:_MAX_SEARCH].casefold()


def address_text(addresses: Sequence[str]) -> str:
    """Addresses with a blank before and after each."""
    return f" {' '.join(addresses)} "
