"""References of OSSIM to the event of an earlier level: `1:SRC_IP`.

The only place that knows which of them our `:N`, `:N.to` and `!:N` can express: N is a stage, and
the field is that in which the reference stands, unless it names another one.
"""

import re

from msgspec import Struct

from engine.directives.json_document import describe_value

FIELDS = {
    "from": "SRC_IP",
    "to": "DST_IP",
    "port_from": "SRC_PORT",
    "port_to": "DST_PORT",
    "protocol": "PROTOCOL",
    "custom_data1": "USERDATA1",
    "custom_data2": "USERDATA2",
    "custom_data3": "USERDATA3",
}
"""The name in OSSIM of the value that each field of our rules is compared with."""
_OUR_FIELDS = {name: field for field, name in FIELDS.items()}
_OTHER_FIELDS = (
    *("PLUGIN_ID", "PLUGIN_SID", "SENSOR", "PRODUCT", "ENTITY", "CATEGORY", "SUBCATEGORY"),
    *("FILENAME", "USERNAME", "PASSWORD", *(f"USERDATA{number}" for number in range(4, 10))),
)
_FORM = re.compile(rf"(!?)\s*([0-9]{{1,9}}):({'|'.join((*FIELDS.values(), *_OTHER_FIELDS))})")
MAX_STAGE = 99
"""The last stage to which our references can refer."""


class InexpressibleError(Exception):
    """Our directives cannot express a value; the message says why, and what can be done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Reference(Struct, frozen=True):
    """The value of `name` in the event of a level, which counts from 1; or any other value."""

    text: str
    negated: bool
    level: int
    name: str


def find_reference(item: str) -> Reference | None:
    """The reference that an item of a list is."""
    found = _FORM.fullmatch(item.strip())
    return Reference(item.strip(), found[1] == "!", int(found[2]), found[3]) if found else None


def convert_reference(reference: Reference, field: str, level: int) -> str:
    """A reference in a field of the rule of a level as ours; InexpressibleError if it is none."""
    shown = describe_value(reference.text)
    if not 1 <= reference.level < level:
        right = "there is no earlier one" if level == 1 else f"must be from 1 to {level - 1}"
        message = f"is {shown}, a reference from level {level} to level {reference.level}: {right}"
        raise InexpressibleError("bad-reference", message)
    named = _OUR_FIELDS.get(reference.name)
    if named is None:
        message = f"is {shown}: a reference can be to {', '.join(_OUR_FIELDS)} only"
        raise InexpressibleError("other-field", message)
    if {_kind(field), _kind(named)} == {"address", "port"}:
        message = f"is {shown}: an address and a port are never equal"
        raise InexpressibleError("other-field", message)
    if reference.level > MAX_STAGE:
        message = f"is {shown}: only the first {MAX_STAGE} levels can be referred to"
        raise InexpressibleError("far-reference", message)
    negation, other = "!" if reference.negated else "", "" if named == field else f".{named}"
    return f"{negation}:{reference.level}{other}"


def _kind(field: str) -> str:
    if field in ("from", "to"):
        return "address"
    return "port" if field in ("port_from", "port_to") else "text"
