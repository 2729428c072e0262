"""Rules as sentences: what a directive waits for at each stage, as a person would say it."""

from collections.abc import Iterator

from engine.alarm import RuleRecord
from engine.directives.condition import is_reference
from engine.directives.directive import Directive

_SHOWN = 5
"""Values of a list that a sentence names."""
_STICKY = {
    "PLUGIN_SID": "plugin_sid",
    "SRC_IP": "source address",
    "DST_IP": "destination address",
    "SRC_PORT": "source port",
    "DST_PORT": "destination port",
    "CUSTOM_DATA1": "custom_data1",
    "CUSTOM_DATA2": "custom_data2",
    "CUSTOM_DATA3": "custom_data3",
}
_CONDITIONS = (
    ("from_", "from", "source"),
    ("to", "to", "destination"),
    ("port_from", "from port", "source port"),
    ("port_to", "to port", "destination port"),
    ("protocol", "with protocol", "protocol"),
    ("custom_data1", "with custom_data1", "custom_data1"),
    ("custom_data2", "with custom_data2", "custom_data2"),
    ("custom_data3", "with custom_data3", "custom_data3"),
)
"""Each condition of a rule: its field, the words before its value, and the noun of its value."""
_PLACES = {
    "HOME_NET": "an address in HOME_NET",
    "!HOME_NET": "an address outside HOME_NET",
}


def rule_sentences(directive: Directive, *, match_protocol: bool = False) -> list[str]:
    """A sentence for each rule of a directive, in the order of the stages."""
    last = len(directive.rules)
    return [
        " ".join(_sentence(directive, rule, is_last=rule.stage == last, protocol=match_protocol))
        for rule in directive.rules
    ]


def _sentence(
    directive: Directive, rule: RuleRecord, *, is_last: bool, protocol: bool
) -> Iterator[str]:
    what = " ".join((_events(rule), *_conditions(rule, with_protocol=protocol)))
    if rule.stage == 1:
        yield f"{what} opens a backlog."
    else:
        verb = "finishes" if rule.occurrence == 1 else "finish"
        end = "the directive" if is_last else f"stage {rule.stage}"
        yield f"{what}{_sticky(rule)}{_within(rule)} {verb} {end}."
    factors = f"{directive.priority} × {rule.reliability} × asset value / 25"
    yield f"The risk is then {factors}."


def _events(rule: RuleRecord) -> str:
    """How many events, and of what kind."""
    number = rule.occurrence if rule.stage > 1 else 1
    events = "An event" if number == 1 else f"{number:,} events"
    if rule.type == "PluginRule":
        sids = _any_of(tuple(map(str, rule.plugin_sid)))
        return f"{events} of plugin_id {rule.plugin_id} with plugin_sid {sids}"
    kind = f"{events} of category {rule.category} from product {_any_of(rule.product)}"
    if rule.subcategory and "ANY" not in rule.subcategory:
        kind += f" with subcategory {_any_of(rule.subcategory)}"
    return kind


def _any_of(values: tuple[str, ...]) -> str:
    shown = values[:_SHOWN]
    more = len(values) - len(shown)
    if more:
        return f"{', '.join(shown)} or one of {more:,} others"
    return f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else "".join(shown)


def _conditions(rule: RuleRecord, *, with_protocol: bool) -> Iterator[str]:
    for field, words, noun in _CONDITIONS:
        text = getattr(rule, field).strip()
        if text in ("", "ANY") or (field == "protocol" and not with_protocol):
            continue
        if is_reference(text):
            yield f"{words} the {noun} of stage {text[1:]}"
        else:
            yield f"{words} {_PLACES.get(text) or _values(text)}"


def _values(text: str) -> str:
    """A list of a condition, whose `!` items are excluded."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    wanted = tuple(item for item in items if not item.startswith("!"))
    excluded = tuple(item[1:] for item in items if item.startswith("!"))
    parts = [_any_of(wanted)] if wanted else []
    if excluded:
        parts.append(f"{'' if wanted else 'any '}but not {_any_of(excluded)}")
    return " ".join(parts)


def _sticky(rule: RuleRecord) -> str:
    noun = _STICKY.get(rule.sticky_different)
    return f", each with another {noun}," if noun and rule.occurrence > 1 else ""


def _within(rule: RuleRecord) -> str:
    return f" within {_seconds(rule.timeout)}"


def _seconds(seconds: int) -> str:
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds and seconds % length == 0:
            number = seconds // length
            return f"{number:,} {unit}{'s' if number > 1 else ''}"
    return f"{seconds:,} second{'' if seconds == 1 else 's'}"
