"""What broken documents are made of: good ones with changes, and marks where a line must point.

In a document, `§` stands before each place that a line must point at, in the order of the lines;
twice where two lines point at the same place. The marks are taken out before the document is
written, so they know line and column independently of the code.
"""

from pathlib import Path
from typing import NamedTuple

MARK = "§"
GOOD_ASSETS = '{"assets": [{"name": "lan", "cidr": "10.0.0.0/8", "value": 2}]}'


class Case(NamedTuple):
    """A marked document, what its lines say behind the place, and the file that it is in."""

    name: str
    document: str
    lines: list[str]
    file: str = "directives_x.json"


def write(name: str, text: str | bytes) -> str:
    """A file in the current folder; marks are taken out."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.replace(MARK, "").encode() if isinstance(text, str) else text)
    return name


def places(marked: str) -> list[tuple[int, int]]:
    """Line and column of each mark, as if no mark were there; columns count characters."""
    found = []
    for number, line in enumerate(marked.split("\n"), 1):
        before = line.split(MARK)[:-1]
        found += [(number, len("".join(before[: n + 1])) + 1) for n in range(len(before))]
    return found


def lines_for(file: str, marked: str, rests: list[str]) -> list[str]:
    """The expected lines: one a mark, from what comes after the place, in the short form."""
    at = places(marked)
    assert len(at) == len(rests), "a mark for each line"
    return [
        f"{file}:{line}:{column}: {long_form(rest)}"
        for (line, column), rest in zip(at, rests, strict=True)
    ]


def long_form(rest: str) -> str:
    """`warning/code 7 2 from: message` as it is printed; a fault has no severity, - is absent."""
    about, _, message = rest.partition(": ")
    code, directive, stage, field = about.split(" ", 3)
    severity, _, code = code.rpartition("/")
    parts = (f"directive {directive}", f"stage {stage}", field)
    subject = ", ".join(part for part in parts if not part.endswith("-"))
    start = f"{severity or 'error'} {code}: "
    return f"{start}{subject}: {message}" if subject else start + message


def obj(fields: dict[str, str]) -> str:
    """An object of JSON texts, a field a line."""
    return "{\n" + ",\n".join(f'  "{name}": {text}' for name, text in fields.items()) + "\n}"


def changed(fields: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    """The fields with these instead; None leaves one out. A trailing `_` is for keywords."""
    new = {name.rstrip("_"): text for name, text in changes.items()}
    return {name: text for name, text in (fields | new).items() if text is not None}


def rule(number: int, /, **changes: str | None) -> str:
    """A PluginRule at this stage."""
    fields = {
        "name": '"r"',
        "type": '"PluginRule"',
        "stage": str(number),
        "occurrence": "1" if number == 1 else "3",
        "plugin_id": "1001",
        "plugin_sid": "[1, 2]",
        "from": '"ANY"',
        "to": '"HOME_NET"',
        "reliability": "5",
        "timeout": "60",
    }
    return obj(changed(fields, changes))


def taxonomy(number: int, /, **changes: str | None) -> str:
    """A TaxonomyRule at this stage."""
    fields: dict[str, str | None] = {
        "type": '"TaxonomyRule"',
        "plugin_id": None,
        "plugin_sid": None,
        "product": '["Firewall"]',
        "category": '"Denied"',
    }
    return rule(number, **(fields | changes))


def directive(*rules: str, **changes: str | None) -> str:
    """A directive of these rules, or of two good ones."""
    fields = {
        "id": "7",
        "name": '"d"',
        "kingdom": '"k"',
        "category": '"c"',
        "priority": "3",
        "rules": "[\n" + ",\n".join(rules or (rule(1), rule(2))) + "\n]",
    }
    return obj(changed(fields, changes))


def asset(**changes: str | None) -> str:
    """An asset."""
    return obj(changed({"name": '"lan"', "cidr": '"10.0.0.0/8"', "value": "2"}, changes))


def source(**changes: str | None) -> str:
    """A source of lookups."""
    fields = {
        "name": '"wise"',
        "plugin": '"Wise"',
        "type": '"IP"',
        "enabled": "true",
        "config": r'"{\"url\": \"http://wise:8081/ip/${ip}\"}"',
    }
    return obj(changed(fields, changes))


def document(key: str, *items: str) -> str:
    """A whole document."""
    text = f'{{"{key}": [\n' + ",\n".join(items) + "\n]}\n"
    return text.replace('"Wise"', '"Nesd"') if key == "vuln_sources" else text


def directives(*items: str) -> str:
    """A document of directives."""
    return document("directives", *items)


def second(**changes: str | None) -> str:
    """A document whose only directive has this rule at stage 2."""
    return directives(directive(rule(1), rule(2, **changes)))
