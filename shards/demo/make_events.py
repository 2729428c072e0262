"""Generates the events of the example: six hours of the company in scenario/, with the attacks.

The same --seed, --start and --count give the same events, byte for byte. Needs only Python 3.11 or
later: `python -m shards.demo.make_events --help`.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import BinaryIO
from uuid import NAMESPACE_URL, uuid5

from shards.demo.scenario import infections, intrusions
from shards.demo.scenario.background import background, vulnerability_scan
from shards.demo.scenario.event import Event, Story

HOURS = 6
DURATION = HOURS * 3600

SCHEDULE: tuple[tuple[int, Story], ...] = (
    (5, infections.helpdesk_at_work),
    (12, intrusions.port_scan),
    (20, intrusions.ssh_brute_force_gives_up),
    (31, infections.office_add_in),
    (40, intrusions.ssh_brute_force),
    (52, intrusions.password_forgotten),
    (58, infections.new_colleague),
    (65, infections.office_downloader),
    (70, infections.beaconing),
    (82, intrusions.web_shell_upload_blocked),
    (95, intrusions.web_attack_campaign),
    (104, infections.antivirus_lookups),
    (115, infections.remote_support),
    (121, intrusions.port_scan_breaks_off),
    (135, vulnerability_scan),
    (148, infections.blocked_game),
    (163, infections.ping_sweep),
    (170, infections.lateral_movement),
    (181, infections.rogue_administrator),
    (195, intrusions.password_spraying),
    (205, intrusions.mailbox_takeover),
    (214, infections.dns_tunnel),
    (222, intrusions.exploit),
    (225, infections.backups),
    (230, intrusions.impossible_travel),
    (238, intrusions.directory_scan),
    (246, intrusions.web_attack_campaign_over_ipv6),
    (262, infections.worm_in_the_branch),
    (280, infections.tidying_up),
    (288, intrusions.credential_stuffing),
    (297, intrusions.web_shell),
    (318, infections.ransomware),
    (333, intrusions.log_cleared),
    (340, infections.encoded_script),
)
"""Minutes after the start at which each story begins."""


def all_events(seed: int, count: int) -> list[Event]:
    """All events in order of time: those of the stories, and background events up to `count`."""
    events = [event for minute, story in SCHEDULE for event in _story_events(seed, minute, story)]
    missing = max(0, count - len(events))
    events.extend(background(Random(f"{seed} background"), missing, DURATION))
    return sorted(events, key=lambda event: event.at)


def _story_events(seed: int, minute: int, story: Story) -> Iterable[Event]:
    """The events of a story, from random numbers of its own: other stories do not change them."""
    return story(minute * 60, Random(f"{seed} {story.__name__}"))


def as_lines(events: Iterable[Event], seed: int, start: datetime) -> Iterator[bytes]:
    """The events as NDJSON. Event ids depend on seed, start and position."""
    for position, event in enumerate(events):
        name = f"dsiem-shards example {seed} {start.isoformat()} {position}"
        time = (start + timedelta(seconds=event.at)).isoformat(timespec="milliseconds")
        ids = {
            "event_id": str(uuid5(NAMESPACE_URL, name)),
            "timestamp": time.replace("+00:00", "Z"),
        }
        yield json.dumps(ids | event.fields).encode() + b"\n"


def write(lines: Iterable[bytes], out: str) -> None:
    """Write to a file, compressed if its name ends in .gz, or to standard output for `-`."""
    if out == "-":
        sys.stdout.buffer.writelines(lines)
        return
    with Path(out).open("wb") as file:
        if out.endswith(".gz"):
            _write_compressed(lines, file)
        else:
            file.writelines(lines)


def _write_compressed(lines: Iterable[bytes], file: BinaryIO) -> None:
    """Write gzip without a file name or time, so that the same lines give the same bytes."""
    with gzip.GzipFile("", "wb", 9, file, mtime=0) as compressed:
        compressed.write(b"".join(lines))


def iso_time(text: str) -> datetime:
    """Parse an ISO 8601 time, in UTC unless it has an offset; `now` is the current second."""
    if text == "now":
        return datetime.now(UTC).replace(microsecond=0)
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write the events of the example.")
    default_out = str(Path(__file__).with_name("example") / "events.ndjson.gz")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    parser.add_argument("--out", default=default_out, help="file (.gz is compressed), or -")
    parser.add_argument(
        "--start",
        type=iso_time,
        default="2025-03-04T08:00:00Z",
        help=f"ISO time of the first event, or now; the events span {HOURS} hours",
    )
    parser.add_argument("--count", type=int, default=5000, help="approximate number of events")
    return parser.parse_args()


def main() -> None:
    args = _arguments()
    write(as_lines(all_events(args.seed, args.count), args.seed, args.start), args.out)


if __name__ == "__main__":
    main()
