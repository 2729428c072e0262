"""What the console shows of alarms that their lines do not say.

A file of its own: a service without the console does none of it.
"""

from collections.abc import Iterable, Iterator

from engine.alarm import AlarmRecord, PublishedAlarm
from engine.asset import NetworkAssets
from shards.ipc.queries import AlarmAbout

MAX_ALARMS = 1_000
"""Alarms of a report that are described, the last ones: in a flood nobody looks at the others."""
MAX_NAMED = 10
"""Addresses of a side whose names are given."""


def about_alarms(assets: NetworkAssets, published: list[PublishedAlarm]) -> dict[str, AlarmAbout]:
    """By id of an alarm: its directive, and the names of assets."""
    return {
        one.alarm.alarm_id: AlarmAbout(one.key[0], dict(_names(assets, one.alarm)))
        for one in published[-MAX_ALARMS:]
    }


def _names(assets: NetworkAssets, alarm: AlarmRecord) -> Iterator[tuple[str, str]]:
    addresses: Iterable[str] = (*alarm.src_ips[:MAX_NAMED], *alarm.dst_ips[:MAX_NAMED])
    for address in addresses:
        if name := assets.address_info(address).name:
            yield address, name
