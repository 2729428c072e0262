"""Broken directives, rules aside: a case for every rule about them, and about their stages."""

from tests.support.invalid_config.build import MARK, Case, directive, directives, rule
from tests.support.invalid_config.words import ONE_BY, STAGE, TEXT, WHOLE


def _case(name: str, marked: str, *lines: str) -> Case:
    return Case(f"directive: {name}", directives(marked), list(lines))


def _stages(name: str, rules: list[str], *lines: str) -> Case:
    return Case(f"stages: {name}", directives(directive(*rules)), list(lines))


_TEXTS = ("name", "kingdom", "category")
_INSTEAD = {"null": "null", "5": "5", '"d"': 'the text "d"', "[]": "a list"}
_NO_RULES = {"{}": "an object", '"r"': 'the text "r"', "1": "1"}
_TWICE = "a second time, must be there once"
_NO_THIRD = "bad-stage 7 3 stage: is 3, must be from 1 to 2: there are 2 rules"

_SUPPRESS = {
    "§false": ["wrong-type 7 - suppress: is false, must be an object with seconds and by"],
    "§§{}": [
        f"missing 7 - seconds: is missing, {WHOLE} from 1 up",
        f"missing 7 - by: is missing, must be a list of one or more of {ONE_BY}",
    ],
    '{"seconds": §0, "by": §[]}': [
        f"out-of-range 7 - seconds: is 0, {WHOLE} from 1 up",
        f"empty 7 - by: is empty, must be a list of one or more of {ONE_BY}",
    ],
    '{"seconds": 1, "by": §"src_ip"}': [
        f'wrong-type 7 - by: is the text "src_ip", must be a list of one or more of {ONE_BY}'
    ],
    '{"seconds": 1, "by": [§"SRC_IP"]}': [
        f'unknown-value 7 - by: is the text "SRC_IP", must be one of {ONE_BY}'
    ],
}

CASES = [
    *(
        _case(
            f"{name} {value}",
            MARK + directive(**{name: value}),
            f"missing 7 - {name}: is missing, {TEXT}",
        )
        for name in _TEXTS
        for value in (None, "null")
    ),
    _case(
        "no priority",
        MARK + directive(priority=None),
        f"missing 7 - priority: is missing, {WHOLE} from 1 to 5",
    ),
    _case("no id", MARK + directive(id=None), f"missing - - id: is missing, {WHOLE} from 1 up"),
    *(
        _case(
            f"empty {name}",
            directive(**{name: '§""'}),
            f"empty 7 - {name}: is empty, {TEXT}",
        )
        for name in _TEXTS
    ),
    *(
        _case(
            f"list as {name}",
            directive(**{name: "§[]"}),
            f"wrong-type 7 - {name}: is a list, {TEXT}",
        )
        for name in _TEXTS
    ),
    *(
        _case(
            f"id {value}",
            directive(id=f"§{value}"),
            f"out-of-range - - id: is {value}, {WHOLE} from 1 up",
        )
        for value in ("0", "-1", "9223372036854775808")
    ),
    _case(
        "id as text",
        directive(id='§"7"'),
        f'wrong-type - - id: is the text "7", {WHOLE} from 1 up',
    ),
    *(
        _case(
            f"priority {value}",
            directive(priority=f"§{value}"),
            f"out-of-range 7 - priority: is {value}, {WHOLE} from 1 to 5",
        )
        for value in ("0", "6", "-1")
    ),
    *(
        _case(
            f"priority {value}",
            directive(priority=f"§{value}"),
            f"wrong-type 7 - priority: is {shown}, {WHOLE} from 1 to 5",
        )
        for value, shown in {"3.0": "3.0", "true": "true", '"3"': 'the text "3"'}.items()
    ),
    *(
        _case(
            f"{name} as number",
            directive(**{name: "§1"}),
            f"wrong-type 7 - {name}: is 1, must be true or false",
        )
        for name in ("disabled", "all_rules_always_active", "wildcards", "any_order")
    ),
    *(
        _case(f"suppress {value}", directive(suppress=value), *lines)
        for value, lines in _SUPPRESS.items()
    ),
    _case(
        "disabled, whatever else is wrong",
        directive(rule(1, type='"x"'), priority="9", disabled="§true"),
        "warning/disabled 7 - disabled: is true: the directive is skipped",
    ),
    *(
        _case(
            f"rules {value}",
            directive(rules=f"§{value}"),
            f"wrong-type 7 - rules: is {shown}, must be a list of rules",
        )
        for value, shown in _NO_RULES.items()
    ),
    *(
        _case(
            f"rules {value} ",
            MARK + directive(rules=value),
            "missing 7 - rules: is missing, must be a list of rules",
        )
        for value in (None, "null")
    ),
    _case(
        "no rules",
        directive(rules="§[]"),
        "too-few-rules 7 - rules: has none, must have one rule or more",
    ),
    _case(
        "a rule that is none",
        directive(rule(1), "§null"),
        "wrong-type 7 - rules: is null, must be an object",
    ),
    *(
        _case(f"{value} instead", f"§{value}", f"wrong-type - - -: is {shown}, must be an object")
        for value, shown in _INSTEAD.items()
    ),
    _stages(
        "a repeat",
        [rule(1), rule(2), rule(2, stage="§2")],
        f"bad-stage 7 2 stage: is 2 {_TWICE}",
    ),
    _stages(
        "1 again and again",
        [rule(1), rule(1, stage="§1"), rule(1, stage="§1")],
        *[f"bad-stage 7 1 stage: is 1 {_TWICE}"] * 2,
    ),
    _stages("a gap", [rule(1), rule(3, stage="§3")], _NO_THIRD),
    _stages("no first one, in any order", [rule(3, stage="§3"), rule(2)], _NO_THIRD),
    *(
        _stages(
            value,
            [rule(1), rule(2, stage=f"§{value}")],
            f"out-of-range 7 - stage: is {value}, {STAGE}",
        )
        for value in ("0", "-1", "256")
    ),
    _stages(
        "as text",
        [rule(1), rule(2, stage='§"2"')],
        f'wrong-type 7 - stage: is the text "2", {STAGE}',
    ),
    _stages(
        "absent", [rule(1), MARK + rule(2, stage=None)], f"missing 7 - stage: is missing, {STAGE}"
    ),
    *(
        _case(
            f"unknown {name}",
            directive(**{name: "§true"}),
            f"warning/unknown-field 7 - {name}: is not a known field, and is ignored; "
            f"the nearest known one is {known}",
        )
        for name, known in {
            "all_rule_always_active": "all_rules_always_active",
            "enabled": "disabled",
            "Prio": "priority",
            "rule": "rules",
        }.items()
    ),
    _case("notes", directive(**{"description": '"x"', "_owner": '"y"', "$schema": '"z"'})),
    Case(
        "directive: unknown fields of the document",
        '{"assets": §[], "directive": §[], "$schema": 1, ' + directives(directive())[1:],
        [
            f"warning/unknown-field - - {name}: is not a known field, and is ignored{hint}"
            for name, hint in (
                ("assets", ""),
                ("directive", "; the nearest known one is directives"),
            )
        ],
    ),
]
