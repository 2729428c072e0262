"""Broken rules, conditions aside: a case for every rule about each of their fields."""

from tests.support.invalid_config.build import MARK, Case, directive, directives, rule, taxonomy
from tests.support.invalid_config.words import (
    FIRST,
    ONE_STICKY,
    SIDS,
    STICKY,
    TEXT,
    TEXTS,
    TYPES,
    WHOLE,
)


def _case(name: str, marked: str, *lines: str) -> Case:
    return Case(f"rule: {name}", directives(directive(rule(1), marked)), list(lines))


def _field(name: str, value: str, line: str) -> Case:
    """A value of a field of the rule at stage 2; what the line says behind the field."""
    code, _, rest = line.partition(" ")
    marked = rule(2, **{name: MARK + value})
    return _case(f"{name} {value}", marked, f"{code} 7 2 {name}: is {rest}")


_NEEDED = {
    "name": "must be a text",
    "type": TYPES,
    "occurrence": f"{WHOLE} from 1 up",
    "from": TEXT,
    "to": TEXT,
    "reliability": f"{WHOLE} from 0 to 10",
    "plugin_id": f"{WHOLE} from 1 up",
    "plugin_sid": SIDS,
}
_OPTIONAL_TEXTS = (
    *("port_from", "port_to", "protocol", "custom_data1", "custom_data2", "custom_data3"),
    *("custom_label1", "custom_label2", "custom_label3"),
)

_NO_TIME = "is 0 after stage 1: the stage ends at once, must be the seconds that it may last"
_NO_ANY = "compared as a text: there is no ANY here"
_MISSPELT = {
    "time_out": "timeout",
    "Timeout": "timeout",
    "sticky_diff": "sticky_different",
    "occurence": "occurrence",
    "plugin_sids": "plugin_sid",
    "userdata1": "custom_data1",
    "src_ip": "from",
}

CASES = [
    *(
        _case(
            f"{name} {value}",
            MARK + rule(2, **{name: value}),
            f"missing 7 2 {name}: is missing, {right}",
        )
        for name, right in _NEEDED.items()
        for value in (None, "null")
    ),
    *(
        _field("type", value, f"unknown-value the text {value}, {TYPES}")
        for value in ('"pluginrule"', '""')
    ),
    *(_field(name, "80", "wrong-type 80, must be a text") for name in ("name", *_OPTIONAL_TEXTS)),
    *(_field(name, "{}", "wrong-type an object, must be a text") for name in _OPTIONAL_TEXTS),
    *(_field(name, '["ANY"]', f"wrong-type a list, {TEXT}") for name in ("from", "to")),
    *(
        _field("occurrence", value, f"out-of-range {value}, {WHOLE} from 1 up")
        for value in ("0", "-3")
    ),
    _field("occurrence", '"3"', f'wrong-type the text "3", {WHOLE} from 1 up'),
    *(
        _field("reliability", value, f"out-of-range {value}, {WHOLE} from 0 to 10")
        for value in ("-1", "11")
    ),
    _field("reliability", '"5"', f'wrong-type the text "5", {WHOLE} from 0 to 10'),
    _field("timeout", "-1", f"out-of-range -1, {WHOLE} from 0 up"),
    _field("timeout", '"60"', f'wrong-type the text "60", {WHOLE} from 0 up'),
    *(
        _field("sticky_different", value, f"unknown-value the text {value}, {STICKY}")
        for value in ('"SRC"', '"src_ip"', '"NONE"', '"SRC_IP,DST_PORT"')
    ),
    _field("sticky_different", "[]", f"empty empty, {STICKY}"),
    _field("sticky_different", "5", f"wrong-type 5, {STICKY}"),
    _case(
        "sticky_different, several",
        rule(2, sticky_different='["SRC_IP", §"SRC", §"", §7, §null, §"SRC_IP"]'),
        f'unknown-value 7 2 sticky_different: is the text "SRC", {ONE_STICKY}',
        f"empty 7 2 sticky_different: is empty, {ONE_STICKY}",
        f"wrong-type 7 2 sticky_different: is 7, {ONE_STICKY}",
        f"wrong-type 7 2 sticky_different: is null, {ONE_STICKY}",
        'unknown-value 7 2 sticky_different: is the text "SRC_IP" a second time, '
        "must be there once",
    ),
    _field("plugin_id", "0", f"out-of-range 0, {WHOLE} from 1 up"),
    _field("plugin_id", "-1", f"out-of-range -1, {WHOLE} from 1 up"),
    _field("plugin_id", '"1001"', f'wrong-type the text "1001", {WHOLE} from 1 up'),
    _field("plugin_sid", "5", f"wrong-type 5, {SIDS}"),
    _field("plugin_sid", "[]", f"empty empty, {SIDS}"),
    _case(
        "plugin_sid, several",
        rule(2, plugin_sid='[1, §"2", 3, §0, §null]'),
        f'wrong-type 7 2 plugin_sid: is the text "2", {WHOLE} from 1 up',
        f"out-of-range 7 2 plugin_sid: is 0, {WHOLE} from 1 up",
        f"wrong-type 7 2 plugin_sid: is null, {WHOLE} from 1 up",
    ),
    _case(
        "no product and no category",
        "§§" + taxonomy(2, product=None, category="null"),
        f"missing 7 2 product: is missing, {TEXTS}",
        f"missing 7 2 category: is missing, {TEXT}",
    ),
    _case(
        "empty product and category",
        taxonomy(2, product="§[]", category='§""'),
        f"empty 7 2 product: is empty, {TEXTS}",
        f"empty 7 2 category: is empty, {TEXT}",
    ),
    _case(
        "an empty text among the products",
        taxonomy(2, product='["a", §""]'),
        f"empty 7 2 product: is empty, {TEXT}",
    ),
    _case(
        "product and subcategory as text",
        taxonomy(2, product='§"Firewall"', subcategory='§"ACL"'),
        f'wrong-type 7 2 product: is the text "Firewall", {TEXTS}',
        'wrong-type 7 2 subcategory: is the text "ACL", must be a list of texts',
    ),
    *(
        Case(
            f"rule: occurrence {value} at stage 1",
            directives(directive(rule(1, occurrence=f"§{value}"), rule(2))),
            [f"out-of-range 7 1 occurrence: is {value}, {FIRST}"],
        )
        for value in ("0", "2")
    ),
    *(
        _case(
            f"timeout {value} after stage 1",
            mark + rule(2, timeout=value and place + value),
            f"warning/no-timeout 7 2 timeout: {_NO_TIME}",
        )
        for value, mark, place in ((None, MARK, ""), ("null", "", MARK), ("0", "", MARK))
    ),
    _case(
        "ANY where it is a text",
        taxonomy(2, product='["a", §"ANY"]', category='§" Any"', subcategory='["ANY", §"any"]'),
        f'warning/any-as-text 7 2 product: is the text "ANY", {_NO_ANY}',
        f'warning/any-as-text 7 2 category: is the text " Any", {_NO_ANY}',
        'warning/any-as-text 7 2 subcategory: is the text "any", compared as a text: '
        "must be ANY, in capitals",
    ),
    *(
        _case(
            f"{sticky} is never different",
            rule(2, sticky_different=f'§"{sticky}"', **only),
            f"warning/never-finishes 7 2 sticky_different: is {sticky}, and the rule lets through "
            f"{number} different: an occurrence of 3 cannot be reached",
        )
        for sticky, only, number in (
            ("PLUGIN_SID", {"plugin_sid": "[1, 2, 1]"}, 2),
            ("SRC_IP", {"from_": '":1"'}, 1),
            ("DST_IP", {"to": '"10.0.0.1, 10.0.0.2"'}, 2),
            ("SRC_PORT", {"port_from": '":1"'}, 1),
            ("DST_PORT", {"port_to": '"80, 443"'}, 2),
        )
    ),
    *(
        _case(
            f"unknown {name}",
            rule(2, **{name: "§1"}),
            f"warning/unknown-field 7 2 {name}: is not a known field, and is ignored{hint}",
        )
        for name, hint in {
            **{name: f"; the nearest known one is {known}" for name, known in _MISSPELT.items()},
            "zzz": "",
        }.items()
    ),
    _case(
        "fields that Dsiem writes, and notes",
        rule(2, **dict.fromkeys(("start_time", "end_time", "events", "$schema", "comment"), "1")),
    ),
]
