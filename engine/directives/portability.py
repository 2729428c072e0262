"""What a directive uses that the other Dsiem backends do not have, or read otherwise.

A directive that uses any of it is not written into the saved files that they read, too.
"""

from collections.abc import Iterator

from msgspec import Struct

from engine.alarm import RuleRecord
from engine.directives.directive import Directive
from engine.directives.rule import references_of


class OwnFeature(Struct, frozen=True):
    """A feature that a directive uses, and other Dsiem backends do not have.

    `field`: where it is used, of the rule at `stage`, or of the directive itself if that is None.
    `message`: what it is there.
    """

    field: str
    message: str
    stage: int | None = None


def own_features(directive: Directive) -> Iterator[OwnFeature]:
    """Each use of a feature that other Dsiem backends do not have."""
    if directive.wildcards:
        yield OwnFeature("wildcards", "is true: * and ? in texts")
    if directive.suppress is not None:
        yield OwnFeature("suppress", "is a cool-down")
    if len(directive.rules) == 1:
        yield OwnFeature("rules", "has one rule")
    for rule in directive.rules:
        yield from _features_of_rule(rule)


def is_portable(directive: Directive) -> bool:
    """Whether other Dsiem backends read the directive as it is meant."""
    return next(own_features(directive), None) is None


def _features_of_rule(rule: RuleRecord) -> Iterator[OwnFeature]:
    for name in references_of(rule, narrowed=False):
        text = getattr(rule, name)
        if "!" in text or "." in text:
            what = "a reference with !" if "!" in text else "a reference that names a field"
            yield OwnFeature(name.rstrip("_"), f"is {text}: {what}", rule.stage)
    if "," in rule.sticky_different:
        yield OwnFeature("sticky_different", "is a list", rule.stage)
