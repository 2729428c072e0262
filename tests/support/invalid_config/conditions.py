"""Broken conditions and references: a case for every rule about them, in each field."""

import json

from tests.support.invalid_config.build import MARK, Case, directive, directives, rule, second
from tests.support.invalid_config.words import (
    ADDRESS,
    EARLIER,
    FIELDS,
    NOTHING_EARLIER,
    PORT,
    REFERENCE,
    SOME_ADDRESS,
    TEXT,
)

_ADDRESSES = ("from", "to")
_PORTS = ("port_from", "port_to")
_TEXTS = ("protocol", "custom_data1", "custom_data2", "custom_data3")

_NO_ADDRESS = ("any", "home_net", "!!10.0.0.1", "10.0.0.0/33", "host", "fe80::1%eth0", "!")
_NO_PORT = (
    "any",
    "0",
    "65536",
    "80-90",
    "-1",
    "80.0",
    "８０",
    "http",
    ":0",
    ":01",
    "!",
    "HOME_NET",
)
_NO_REFERENCE = (":0", ":100", ":01", ":x", ":", ":1.src_ip", "!:0", ":1.to.from", ":1.")
_NEVER_EQUAL = "an address and a port are never equal: must be"
_ALMOST_REFERENCE = (":0", ":01", ":100", " :1", ": 1")

_BLANKS = f'bad-condition FIELD: is the text "{{}}", {REFERENCE}, without blanks'

BAD_ADDRESSES = {
    "": f"empty FIELD: is empty, {TEXT}",
    "  ": f"empty FIELD: is empty, {TEXT}",
    " , ": f"bad-condition FIELD: is empty, {SOME_ADDRESS}",
    **{value: f'bad-condition FIELD: has the text "{value}", {ADDRESS}' for value in _NO_ADDRESS},
    "10.0.0.1, x": f'bad-condition FIELD: has the text "x", {ADDRESS}',
    "HOME_NET, ::1": "bad-condition FIELD: has HOME_NET inside a list, must stand alone",
    "::1 !HOME_NET": "bad-condition FIELD: has !HOME_NET inside a list, must stand alone",
    "ANY,10.0.0.1": "bad-condition FIELD: has ANY inside a list, must stand alone",
    **{
        value: f'bad-condition FIELD: has the text "{value}", {REFERENCE}'
        for value in _NO_REFERENCE
    },
    **{value: _BLANKS.format(value) for value in (" :1", ":1 ", ": 1", "! :1", ":1 .to")},
    ":1.port_to": f'bad-condition FIELD: is the text ":1.port_to", {_NEVER_EQUAL} an address '
    "(from, to) or a text",
    ":1,:1": f'bad-condition FIELD: has the text ":1", {REFERENCE}',
}
BAD_PORTS = {
    **{value: _BLANKS.format(value) for value in (" :1", ": 1", "! :1.port_to")},
    "!:1.from": f'bad-condition FIELD: is the text "!:1.from", {_NEVER_EQUAL} a port '
    "(port_from, port_to) or a text",
    **{value: f'bad-condition FIELD: has the text "{value}", {PORT}' for value in _NO_PORT},
    "80, ANY": f'bad-condition FIELD: has the text "ANY", {PORT}',
    " ,": 'bad-condition FIELD: is the text " ,", must be ANY, a list of ports, or :stage',
}
BAD_TEXTS = {
    " ,": 'bad-condition FIELD: is the text " ,", must be ANY, a text, a list, or :stage',
    **{
        value: f'warning/not-a-reference FIELD: is the text "{value}", compared as a text: '
        "a reference is :1 to :99, no blanks"
        for value in (*_ALMOST_REFERENCE, "! :1")
    },
    ":1.src_ip": 'warning/not-a-reference FIELD: is the text ":1.src_ip", compared as a text: '
    f"a reference is :1 to :99, behind it perhaps {FIELDS}, no blanks",
}
_ANY = "compared as a text: must be ANY, in capitals and alone, to match all"
ANY_TEXTS = {
    **{
        value: f'warning/any-as-text FIELD: has the text "{value}", {_ANY}'
        for value in ("any", " Any ", "!ANY", "! any")
    },
    "x, ANY": f'warning/any-as-text FIELD: has the text " ANY", {_ANY}',
}


def _unreachable(item: str, before: str) -> str:
    about = f'has "{item}" after "{before}", which decides: must stand before it'
    return f"warning/unreachable FIELD: {about}"


UNREACHABLE_ADDRESSES = {
    "10.0.0.0/8, !10.0.0.1": _unreachable("!10.0.0.1", "10.0.0.0/8"),
    "!10.0.0.1 10.0.0.1/32": _unreachable("10.0.0.1/32", "!10.0.0.1"),
}
UNREACHABLE_PORTS = {
    "!80, 80": _unreachable("80", "!80"),
    "80 443 !80": _unreachable("!80", "80"),
}
UNREACHABLE_TEXTS = {"a, b, !a": _unreachable("!a", "a")}


def _condition(field: str, value: str, line: str) -> Case:
    return Case(
        f"condition: {field} {value!r}",
        second(**{field: MARK + json.dumps(value, ensure_ascii=False)}),
        [line.replace("FIELD", f"7 2 {field}")],
    )


def _forward(field: str, stage: int) -> Case:
    rules = (rule(1), rule(2, **{field: f'§":{stage}"'}), rule(3))
    line = f"bad-reference 7 2 {field}: is a reference to stage {stage} in stage 2, {EARLIER}"
    return Case(f"reference: {field} :{stage} at 2", directives(directive(*rules)), [line])


def _other_forms(text: str) -> Case:
    rules = (rule(1), rule(2, **{"from": f'§"{text}"'}), rule(3))
    line = f"bad-reference 7 2 from: is a reference to stage 2 in stage 2, {EARLIER}"
    return Case(f"reference: {text} at 2", directives(directive(*rules)), [line])


def _too_early(field: str, stage: int) -> Case:
    rules = (rule(1, **{field: f'§":{stage}"'}), rule(2))
    about = f"is a reference to stage {stage} in stage 1, {NOTHING_EARLIER}"
    line = f"bad-reference 7 1 {field}: {about}"
    return Case(f"reference: {field} :{stage} at 1", directives(directive(*rules)), [line])


CASES = [
    *(_condition(f, *item) for f in _ADDRESSES for item in BAD_ADDRESSES.items()),
    *(_condition(f, *item) for f in _PORTS for item in BAD_PORTS.items()),
    *(_condition(f, *item) for f in _TEXTS for item in BAD_TEXTS.items()),
    *(_condition(f, *item) for f in _TEXTS for item in ANY_TEXTS.items()),
    *(_condition(f, *item) for f in _ADDRESSES for item in UNREACHABLE_ADDRESSES.items()),
    *(_condition(f, *item) for f in _PORTS for item in UNREACHABLE_PORTS.items()),
    *(_condition(f, *item) for f in _TEXTS for item in UNREACHABLE_TEXTS.items()),
    *(_forward(f, stage) for f in (*_ADDRESSES, *_PORTS, *_TEXTS) for stage in (2, 3, 99)),
    *map(_other_forms, ("!:2", ":2.to", "!:2.custom_data1")),
    *(_too_early(f, stage) for f in (*_ADDRESSES, *_PORTS, *_TEXTS) for stage in (1, 2)),
]
