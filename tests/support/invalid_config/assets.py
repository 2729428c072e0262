"""Broken assets: a case for every rule about them."""

from tests.support.invalid_config.build import MARK, Case, asset, document
from tests.support.invalid_config.words import CIDR, TEXT, WHOLE


def _case(name: str, marked: str, *lines: str) -> Case:
    return Case(f"asset: {name}", document("assets", marked), list(lines), "assets_x.json")


_NEEDED = {"name": TEXT, "cidr": TEXT, "value": f"{WHOLE} from 1 up"}
_CIDRS = ("10.0.0.0/33", "10.0.0", "10.0.0.0/255.0.0.0", "lan", "10.0.0.0/8,", "::g/8", "::/129")

CASES = [
    *(
        _case(
            f"{name} {value}",
            MARK + asset(**{name: value}),
            f"missing - - {name}: is missing, {right}",
        )
        for name, right in _NEEDED.items()
        for value in (None, "null")
    ),
    _case("empty name", asset(name='§" "'), f"empty - - name: is empty, {TEXT}"),
    _case("name of a number", asset(name="§1"), f"wrong-type - - name: is 1, {TEXT}"),
    *(
        _case(
            f"cidr {text}",
            asset(cidr=f'§"{text}"'),
            f'bad-address - - cidr: is the text "{text}", {CIDR}',
        )
        for text in _CIDRS
    ),
    _case("cidr of a number", asset(cidr="§10"), f"wrong-type - - cidr: is 10, {TEXT}"),
    *(
        _case(
            f"value {value}",
            asset(value=f"§{value}"),
            f"out-of-range - - value: is {value}, {WHOLE} from 1 up",
        )
        for value in ("0", "-1", "9223372036854775808", "99999999999999999999")
    ),
    *(
        _case(
            f"value {value}",
            asset(value=f"§{value}"),
            f"wrong-type - - value: is {shown}, {WHOLE} from 1 up",
        )
        for value, shown in {'"2"': 'the text "2"', "2.0": "2.0", "true": "true"}.items()
    ),
    _case(
        "whitelisted as text",
        asset(whitelisted='§"true"'),
        'wrong-type - - whitelisted: is the text "true", must be true or false',
    ),
    _case("a list instead", "§[]", "wrong-type - - -: is a list, must be an object"),
    _case("nothing instead", "§null", "wrong-type - - -: is null, must be an object"),
    _case(
        "host bits",
        asset(cidr='§"10.0.0.7/8"'),
        'warning/host-bits - - cidr: is the text "10.0.0.7/8", has host bits set: '
        "taken as 10.0.0.0/8",
    ),
    _case(
        "host bits of mapped IPv6",
        asset(cidr='§"::ffff:10.0.0.7/104"'),
        'warning/host-bits - - cidr: is the text "::ffff:10.0.0.7/104", has host bits set: '
        "taken as 10.0.0.0/8",
    ),
    _case(
        "high value",
        asset(value="§6"),
        "warning/high-value - - value: is 6, should be from 1 to 5",
    ),
    _case(
        "unknown whitelist",
        asset(whitelist="§true"),
        "warning/unknown-field - - whitelist: is not a known field, and is ignored; "
        "the nearest known one is whitelisted",
    ),
]
