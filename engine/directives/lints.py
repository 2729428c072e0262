"""Lints of a directive by itself: what is valid, and probably not what its author wants.

Each claim is certain; where it is not, there is none. docs/lints.md explains them.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from engine.address import merge_covering, parse_network
from engine.alarm import RuleRecord
from engine.directives.condition import is_reference, split_list
from engine.directives.directive import Directive, ParsedDirective
from engine.directives.rule import FOLDED_FIELDS, OPEN_ADDRESSES
from engine.directives.rule_warnings import number_of_values
from engine.directives.wildcards import has_wildcard
from engine.errors import Finding

_KNOWN_CONDITIONS = 8192
"""Size of the cache of address lists; thousands of directives share a few."""
_OPEN = ("", "ANY")
_ALL_V4, _ALL_V6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")
_CONDITIONS = {"SRC_IP": "from_", "DST_IP": "to", "SRC_PORT": "port_from", "DST_PORT": "port_to"}
"""The record field of the condition on a value of `sticky_different`; texts have the same name."""


def directive_lints(parsed: ParsedDirective) -> list[Finding]:
    """The lints of a directive, in the order of its stages; none of an invalid one.

    Thousands of directives have none, and must cost little: each check begins with a quick test.
    """
    found: list[Finding] = []
    if parsed.directive is not None and parsed.directive.wildcards:
        found += _no_wildcard(parsed, parsed.directive)
    connected = 0
    for rule in parsed.directive.rules if parsed.directive else ():
        if rule.stage == 1:
            found += _any_event(parsed, rule) if rule.to.strip() in OPEN_ADDRESSES else ()
        elif _is_connected(rule):
            connected = connected or rule.stage
        elif connected:
            found.append(_no_reference(parsed, rule, connected))
        if "!" in rule.from_ or "!" in rule.to:
            found += _never_matches(parsed, rule)
        if rule.sticky_different:
            found += _one_value(parsed, rule)
    return found


def _no_wildcard(parsed: ParsedDirective, directive: Directive) -> Iterator[Finding]:
    texts = (getattr(rule, name) for rule in directive.rules for name in FOLDED_FIELDS)
    if not any(map(has_wildcard, texts)):
        message = "is true, and no condition on a text has a * or ?: it has no effect"
        yield parsed.lint("no-wildcard", message, "wildcards")


def _is_connected(rule: RuleRecord) -> bool:
    """Whether any reference binds the rule to its backlog; those of the protocol need a setting."""
    if _is_binding(rule.from_) or _is_binding(rule.to):  # the usual case
        return True
    others = (rule.port_from, rule.port_to, rule.custom_data1, rule.custom_data2, rule.custom_data3)
    return any(map(_is_binding, others))


def _is_binding(text: str) -> bool:
    """Whether a condition is a reference that few backlogs meet; most meet a negated one."""
    return is_reference(text) and not text.startswith("!")


def _no_reference(parsed: ParsedDirective, rule: RuleRecord, connected: int) -> Finding:
    message = (
        f"has no reference to an earlier stage, unlike stage {connected}: one event is taken by "
        "every backlog that is at this stage"
    )
    return parsed.lint("no-reference", message, stage=rule.stage)


def _any_event(parsed: ParsedDirective, rule: RuleRecord) -> Iterator[Finding]:
    """The first rule with no condition besides its plugin or taxonomy, or only HOME_NET."""
    others = (rule.port_from, rule.port_to, rule.custom_data1, rule.custom_data2, rule.custom_data3)
    if rule.from_.strip() not in OPEN_ADDRESSES:
        return
    if any(text.strip() not in _OPEN for text in others):
        return
    assert parsed.directive
    ids = "plugin_sid" if rule.type == "PluginRule" else "category"
    if len(parsed.directive.rules) == 1:
        if parsed.directive.suppress is None:
            message = (
                f"has only this rule, which narrows nothing but its {ids}: every such event is an "
                "alarm, which suppress can prevent"
            )
            yield parsed.lint("broad-single-rule", message, "rules")
    elif rule.from_.strip() == "ANY" and rule.to.strip() == "ANY":
        message = (
            f"is ANY, and so is to: every event of this {ids} opens a backlog, "
            "even between addresses of no asset"
        )
        yield parsed.lint("any-to-any", message, "from", stage=1)


def _never_matches(parsed: ParsedDirective, rule: RuleRecord) -> Iterator[Finding]:
    for field, text in (("from", rule.from_), ("to", rule.to)):
        if "!" not in text or text.strip() in OPEN_ADDRESSES or is_reference(text):
            continue
        if _excludes_all(text):
            message = "excludes all addresses: no event can match"
            yield parsed.lint("never-matches", message, field, stage=rule.stage)


@lru_cache(maxsize=_KNOWN_CONDITIONS)
def _excludes_all(text: str) -> bool:
    """Whether the `!` items of an address list leave no address.

    A list whose plain items decide anything is taken to leave some.
    """
    items = [(parse_network(bare)[0], result) for bare, result in split_list(text, by_blanks=True)]
    decided = [(network, around[0]) for network, around in merge_covering(items)]
    if any(result for _, result in decided):
        return False
    v4 = [network for network, _ in decided if isinstance(network, IPv4Network)]
    v6 = [network for network, _ in decided if isinstance(network, IPv6Network)]
    return [*collapse_addresses(v4)] == [_ALL_V4] and [*collapse_addresses(v6)] == [_ALL_V6]


def _one_value(parsed: ParsedDirective, rule: RuleRecord) -> Iterator[Finding]:
    """`sticky_different` of a fixed field; where that stops the rule, there is a warning."""
    for sticky in rule.sticky_different.split(","):
        name = _CONDITIONS.get(sticky, sticky.lower())
        text_like = ""
        if sticky == "PLUGIN_SID":
            fixed = rule.type == "PluginRule" and len(set(rule.plugin_sid)) == 1
        elif sticky in _CONDITIONS:
            fixed = number_of_values(getattr(rule, name), name) == 1
        else:
            text = getattr(rule, name)
            wildcards = parsed.directive is not None and parsed.directive.wildcards
            fixed, text_like = _is_one_text("" if wildcards and has_wildcard(text) else text)
        if fixed and (rule.occurrence == 1 or sticky not in ("PLUGIN_SID", *_CONDITIONS)):
            message = (
                f"is {sticky}, and {name.rstrip('_')} lets through one value{text_like}: "
                "there is nothing to count"
            )
            yield parsed.lint("one-value", message, "sticky_different", stage=rule.stage)


def _is_one_text(text: str) -> tuple[bool, str]:
    """Whether a condition lets through one text, and how its forms may still differ."""
    if text.strip() in _OPEN or "!" in text:
        return False, ""
    if "," not in text:
        return True, ", but for capitals and outer blanks"
    return len({item for item, _ in split_list(text, by_blanks=False)}) == 1, ""
