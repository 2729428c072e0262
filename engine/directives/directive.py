"""Directives: from the bytes of a document to directives, with every finding."""

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from xxhash import xxh3_128_digest

from engine.alarm import RuleRecord
from engine.directives.field import Field
from engine.directives.json_document import FieldTable, parse_list, parse_object
from engine.directives.repairs import DIRECTIVE_REPAIRS, NO_REPAIRS, fold_names, read_fields
from engine.directives.rule_schema import Item, items_of, read_rules, records_of
from engine.directives.suppress import Suppress, read_suppress
from engine.errors import DocumentPath, Finding, has_faults

DIRECTIVE_FIELDS = FieldTable(
    Field("id", "int", required=True, low=1, description="Unique over all files."),
    Field(
        "name",
        "str",
        required=True,
        filled=True,
        description="The title of the alarms; SRC_IP and DST_IP in it are replaced by the asset "
        "names, else addresses, of the opening event.",
        examples=("SSH brute force from SRC_IP to DST_IP",),
    ),
    Field("kingdom", "str", required=True, filled=True, description="Copied into the alarms."),
    Field("category", "str", required=True, filled=True, description="Copied into the alarms."),
    Field("priority", "int", required=True, low=1, high=5, description="A factor of the risk."),
    Field("disabled", "bool", description="Whether the directive is skipped, with a warning."),
    Field(
        "all_rules_always_active",
        "bool",
        description="Whether events of earlier stages still join the alarm.",
    ),
    Field(
        "wildcards",
        "bool",
        description="Whether in the conditions on texts * is any number of characters, ? is one, "
        "and \\ takes the next one as it is.",
    ),
    also=("rules", "suppress"),
)


NO_KNOWN: Mapping[bytes, int] = MappingProxyType({})
"""No known directives, see `parse_directives`."""
_OWN_FIELDS = ("id", "name", "kingdom", "category", "priority", "wildcards")
"""The fields that are the same in a document and in a Directive."""


class Directive(Struct, frozen=True, omit_defaults=True):
    """A valid directive; `rules` in the order of their stages, 1 to n."""

    id: int
    name: str
    kingdom: str
    category: str
    priority: int
    always_active: bool
    rules: tuple[RuleRecord, ...]
    suppress: Suppress | None = None
    wildcards: bool = False


class ParsedDirective(Struct, frozen=True):
    """An item of a directives document; `directive` is None if it is faulty, disabled or known.

    `id`: also of a faulty directive, if its id is valid; None for a disabled one. `stages`: those
    of the rules of a valid one, in the order of the document. `digest`: a hash of its text, 16
    bytes; `is_known`: whether it was not parsed, since its digest is known.
    """

    path: DocumentPath
    id: int | None
    directive: Directive | None
    findings: list[Finding]
    stages: tuple[int, ...] = ()
    digest: bytes = b""
    is_known: bool = False

    def lint(self, code: str, message: str, *path: str | int, stage: int | None = None) -> Finding:
        """A lint about a field of a valid directive, or of its rule at a stage."""
        rule = () if stage is None else ("rules", self.stages.index(stage))
        return Finding(
            code=code,
            message=message,
            path=(*self.path, *rule, *path),
            directive=self.id,
            stage=stage,
            field=str(path[0]) if path else "",
            warning=True,
            lint=True,
        )

    @property
    def valid(self) -> bool:
        """Whether it is a directive that can be used."""
        return self.is_known or self.directive is not None

    @property
    def disabled(self) -> bool:
        """Whether the directive is disabled."""
        return any(finding.code == "disabled" for finding in self.findings)


def parse_directives(
    data: bytes, *, lenient: bool = False, known: Mapping[bytes, int] = NO_KNOWN
) -> Iterator[ParsedDirective]:
    """Parse each directive of a document, with every finding about it.

    With `lenient`, faults that Dsiem (Go) repairs are repaired, and other faulty directives are
    left out, with a warning each. An unreadable document gives one item with the reason.

    `known`: ids by digest of valid directives without findings, read with the same `lenient`;
    these are not parsed again.
    """
    items, findings = parse_list(data, "directives")
    if lenient:
        findings = list(map(_repair_duplicate, findings))
    if findings:
        yield ParsedDirective((), None, None, findings)
    for position, raw in enumerate(items):
        path, digest = ("directives", position), xxh3_128_digest(raw)
        known_id = known.get(digest)
        if known_id is None:
            yield replace(_parse_one(raw, path, lenient), digest=digest)
        else:
            yield ParsedDirective(path, known_id, None, [], digest=digest, is_known=True)


def check_directive(directive: Directive) -> tuple[Directive | None, list[Finding]]:
    """Check a directive that does not come from a document; the directive, or every fault.

    What only lenient reading of a document permits is no fault.
    """
    item: Item = {name: getattr(directive, name) for name in _OWN_FIELDS}
    item["all_rules_always_active"] = directive.always_active
    item["rules"] = items_of(directive.rules)
    item["suppress"] = msgspec.to_builtins(directive.suppress)
    parsed = _read_directive(item, lenient=False)
    if parsed.directive is None:
        repaired = _read_directive(item, lenient=True)
        parsed = repaired if repaired.directive == directive else parsed
    return parsed.directive, [finding for finding in parsed.findings if not finding.warning]


def _parse_one(raw: msgspec.Raw, path: DocumentPath, lenient: bool) -> ParsedDirective:
    """The item at this path."""
    item, findings = parse_object(raw)
    if lenient:
        findings = list(map(_repair_duplicate, findings))
    parsed = ParsedDirective((), None, None, [])
    if item is not None:
        parsed = _read_directive(item, lenient)
        findings = [replace(finding, directive=parsed.id) for finding in findings]
    directive = None if has_faults(findings) else parsed.directive
    findings += parsed.findings
    if lenient:
        findings = [
            finding if finding.warning else finding.as_warning("the directive is left out")
            for finding in findings
        ]
    findings = [finding.with_prefix(*path) for finding in findings]
    return ParsedDirective(path, parsed.id, directive, findings, parsed.stages)


def _repair_duplicate(finding: Finding) -> Finding:
    """Dsiem (Go) takes the last one of equal keys, which is what decoding gives."""
    return finding.as_warning("the last is taken") if finding.code == "duplicate-key" else finding


def _read_directive(item: Item, lenient: bool) -> ParsedDirective:
    item, folded = fold_names(item, DIRECTIVE_FIELDS) if lenient else (item, [])
    values, findings = read_fields(
        item, DIRECTIVE_FIELDS, DIRECTIVE_REPAIRS if lenient else NO_REPAIRS
    )
    if values.get("disabled"):
        skipped = Finding("disabled", "is true: the directive is skipped", ("disabled",))
        skipped = replace(skipped, directive=values.get("id"), field="disabled", warning=True)
        return ParsedDirective((), None, None, [skipped])
    rules, more = read_rules(item.get("rules"), lenient)
    suppress, about_suppress = read_suppress(item.get("suppress"))
    id_ = values.get("id")
    findings = folded + findings + about_suppress + more
    findings = [replace(finding, directive=id_) for finding in findings]
    if has_faults(findings):
        return ParsedDirective((), id_, None, findings)
    directive = _directive(values, records_of(rules), suppress)
    return ParsedDirective((), id_, directive, findings, tuple(rule["stage"] for rule in rules))


def _directive(values: Item, rules: tuple[RuleRecord, ...], suppress: Suppress | None) -> Directive:
    return Directive(
        id=values["id"],
        name=values["name"],
        kingdom=sys.intern(values["kingdom"]),
        category=sys.intern(values["category"]),
        priority=values["priority"],
        always_active=values["all_rules_always_active"],
        rules=rules,
        suppress=suppress,
        wildcards=values["wildcards"],
    )
