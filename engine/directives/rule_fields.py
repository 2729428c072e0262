"""The fields of a rule in a document: types, permitted values, and descriptions for people."""

from engine.directives.field import Field
from engine.directives.json_document import FieldTable
from engine.directives.rule import STICKY_FIELDS
from engine.directives.text_patterns import ADDRESSES, PORTS

MAX_STAGE = 255


def _address(name: str, event_field: str) -> Field:
    return Field(
        name,
        "str",
        required=True,
        filled=True,
        description=f"Condition on {event_field}: ANY, HOME_NET, !HOME_NET, a list of IPs or "
        "CIDRs, each perhaps with !, or :N for the value in the first event of stage N; :N.to for "
        "that of another field, !:N for any other value.",
        pattern=ADDRESSES,
        examples=(
            "ANY",
            "HOME_NET",
            "!HOME_NET",
            "10.0.0.0/8, 192.0.2.7",
            "!10.0.0.1",
            ":1",
            "!:1.to",
        ),
    )


def _port(name: str, event_field: str) -> Field:
    return Field(
        name,
        "str",
        description=f"Condition on {event_field}: ANY, a list of ports, each perhaps with !, or :N "
        "for the value in the first event of stage N; :N.port_to for that of another field, !:N "
        "for any other value; empty is ANY.",
        pattern=PORTS,
        examples=("ANY", "22", "80, 443", "!53", ":1", "!:1.port_to"),
    )


def _text(name: str) -> Field:
    return Field(
        name,
        "str",
        description=f"Condition on {name}: ANY, a text, a list of texts between commas, each "
        "perhaps with !, or :N for the value in the first event of stage N; :N.custom_data1 for "
        "that of another field, !:N for any other value; empty is ANY.",
        examples=("ANY", "admin", "!admin", "root,admin", ":1", "!:1.custom_data2"),
    )


RULE_FIELDS = FieldTable(
    Field("name", "str", required=True, description="For people: what this stage detects."),
    Field(
        "type",
        "str",
        required=True,
        choices=("PluginRule", "TaxonomyRule"),
        description="PluginRule selects events by plugin_id and plugin_sid, TaxonomyRule by "
        "product, category and subcategory.",
    ),
    Field(
        "stage",
        "int",
        required=True,
        low=1,
        high=MAX_STAGE,
        description="The position of the rule: 1, 2, 3 and so on, each once.",
    ),
    Field(
        "occurrence",
        "int",
        required=True,
        low=1,
        description="Number of events that finish the stage; 1 for stage 1.",
    ),
    Field("plugin_id", "int", description="PluginRule: that of the event must be equal."),
    Field("plugin_sid", "int_list", description="PluginRule: that of the event must be in it."),
    Field("product", "str_list", description="TaxonomyRule: that of the event must be in it."),
    Field("category", "str", description="TaxonomyRule: that of the event must be equal."),
    Field(
        "subcategory",
        "str_list",
        description="TaxonomyRule: that of the event must be in it, unless it is empty or has ANY.",
    ),
    _address("from", "src_ip"),
    _address("to", "dst_ip"),
    _port("port_from", "src_port"),
    _port("port_to", "dst_port"),
    Field(
        "protocol",
        "str",
        description="Condition on protocol, compared only with --match-protocol; empty is ANY.",
        examples=("TCP", "!UDP"),
    ),
    _text("custom_data1"),
    _text("custom_data2"),
    _text("custom_data3"),
    Field("custom_label1", "str", description="For people: what custom_data1 is."),
    Field("custom_label2", "str", description="For people: what custom_data2 is."),
    Field("custom_label3", "str", description="For people: what custom_data3 is."),
    Field(
        "sticky_different",
        "choices",
        choices=("", *STICKY_FIELDS),
        description="Of the events of this stage, only those with different values here count; of "
        "several names in a list, each value must differ.",
    ),
    Field(
        "reliability",
        "int",
        required=True,
        low=0,
        high=10,
        description="A factor of the risk, once this stage is finished.",
    ),
    Field("timeout", "int", description="The longest duration of the stage, in seconds."),
    also=("start_time", "end_time", "status", "events", "rcvd_time"),
)
"""The fields of a rule; an absent `timeout` is 0, an absent text is ANY.

The others are those that Dsiem writes into the rules of its alarms.
"""

FIELDS_BY_TYPE = {
    "PluginRule": FieldTable(
        Field("plugin_id", "int", required=True, low=1),
        Field("plugin_sid", "int_list", required=True, low=1, filled=True),
        partial=True,
    ),
    "TaxonomyRule": FieldTable(
        Field("product", "str_list", required=True, filled=True),
        Field("category", "str", required=True, filled=True),
        partial=True,
    ),
}
"""The fields that a rule of each type requires."""
