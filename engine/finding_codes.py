"""The codes of all findings: their usual severity, and what they mean, in one line each.

docs/lints.md explains each of them with an example. A code keeps its meaning: people ignore codes
in their settings, and other programs group findings by them.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from msgspec import Struct

from engine.errors import Severity


class FindingCode(Struct, frozen=True):
    """A code, its usual severity, and a summary without a full stop.

    An `error` can be a warning where the program goes on without what is faulty: with
    lenient reading, and in lookup sources.
    """

    code: str
    severity: Severity
    summary: str


_CODES = (
    FindingCode("bad-json", "error", "A document is not JSON"),
    FindingCode("too-deep", "error", "A document is nested too deep"),
    FindingCode("bom", "error", "A document begins with a byte order mark"),
    FindingCode("not-utf8", "error", "A document is not UTF-8"),
    FindingCode("duplicate-key", "error", "An object has a key twice"),
    FindingCode("missing", "error", "A required field is missing"),
    FindingCode("wrong-type", "error", "A value has the wrong type"),
    FindingCode("empty", "error", "A text or a list is empty"),
    FindingCode("out-of-range", "error", "A number is out of its range"),
    FindingCode("unknown-value", "error", "A text is not one of those that a field can have"),
    FindingCode("too-few-rules", "error", "A directive has no rule"),
    FindingCode("bad-stage", "error", "The stages of a directive are not 1 to n, each once"),
    FindingCode("bad-condition", "error", "A condition cannot be understood"),
    FindingCode("bad-reference", "error", "A reference is to its own, a later or an absent stage"),
    FindingCode("bad-combination", "error", "Settings of a directive exclude each other"),
    FindingCode("duplicate-id", "error", "Two directives have the same id"),
    FindingCode("bad-address", "error", "The cidr of an asset is no network"),
    FindingCode("bad-source", "error", "The config of a lookup source cannot be used"),
    FindingCode("unknown-plugin", "error", "There is no such lookup plugin"),
    FindingCode("broken-plugin", "error", "A lookup plugin cannot be loaded"),
    FindingCode("unknown-file", "error", "A file holds no configuration"),
    FindingCode("no-assets", "error", "A folder has no assets"),
    FindingCode("no-directives", "error", "A folder has no directives"),
    FindingCode("bad-test", "error", "A file of tests of directives cannot be used"),
    FindingCode("unreadable", "warning", "A file of lookup sources cannot be read"),
    FindingCode("unread-file", "warning", "A file looks like configuration, and is not read"),
    FindingCode("unknown-field", "warning", "A field is not known, and is ignored"),
    FindingCode("disabled", "warning", "A directive is disabled, and is skipped"),
    FindingCode("not-a-reference", "warning", "A text looks like a reference, and is none"),
    FindingCode("any-as-text", "warning", "ANY is written so that it is compared as a text"),
    FindingCode("unreachable", "warning", "An earlier item of a list decides instead of this one"),
    FindingCode("never-finishes", "warning", "A stage counts more values than there can be"),
    FindingCode("no-timeout", "warning", "A later stage ends at once"),
    FindingCode("not-portable", "warning", "Other Dsiem backends do not have what is used here"),
    FindingCode("host-bits", "warning", "The cidr of an asset has host bits set"),
    FindingCode("high-value", "warning", "The value of an asset is above 5"),
    FindingCode("never-matches", "lint", "No event can match a rule"),
    FindingCode("no-risk", "lint", "The risk of a directive is always 0"),
    FindingCode("no-reference", "lint", "A stage is not connected, after one that is"),
    FindingCode("any-to-any", "lint", "The first rule is open to all addresses"),
    FindingCode("broad-single-rule", "lint", "Every event of a plugin or category is an alarm"),
    FindingCode("one-value", "lint", "sticky_different counts values of a fixed field"),
    FindingCode("needless-escape", "lint", "A backslash is before a character that needs none"),
    FindingCode("no-wildcard", "lint", "A directive has wildcards on, and none in its texts"),
    FindingCode("same-rules", "lint", "Two directives have the same rules"),
    FindingCode("whitelisted-asset", "lint", "An asset is inside a whitelisted one"),
)
CODES: Mapping[str, FindingCode] = MappingProxyType({known.code: known for known in _CODES})
"""Every code that a finding can have, faults first."""


def nearest_code(text: str) -> str | None:
    """The known code that is most like a text, if any is."""
    return next(iter(get_close_matches(text[:64].lower(), CODES, n=1)), None)
