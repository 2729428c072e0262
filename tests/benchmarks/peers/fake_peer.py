"""A peer for tests: subscribes to the events over NATS, and writes a line for each event.

It is a script that prints the version of dsiem-rs. A `silent` one writes nothing, and a `lossy`
one no line for one event of ten.
"""

import sys
from pathlib import Path

_SCRIPT = """#!{python}
import json, os, pathlib, socket, sys, time
if "--version" in sys.argv:
    print("dsiem 1.99.0")
    sys.exit()
BEHAVIOUR = "{behaviour}"
host, port = os.environ["DSIEM_MSQ"].removeprefix("nats://").split(":")
connection = socket.create_connection((host, int(port)))
stream = connection.makefile("rb")
connection.sendall(b"CONNECT {{}}\\r\\nSUB dsiem_events 1\\r\\nPING\\r\\n")
number = 0
with open("logs/siem_alarm_events.json", "a", buffering=1) as events:
    while line := stream.readline():
        if line.startswith(b"PING"):
            connection.sendall(b"PONG\\r\\n")
        if not line.startswith(b"MSG"):
            continue
        event = json.loads(stream.read(int(line.split()[-1]) + 2))
        number += 1
        matches = event["plugin_sid"] >= 2_000_000
        if matches and BEHAVIOUR != "silent" and (BEHAVIOUR != "lossy" or number % 10):
            known = {{"alarm_id": event["src_ip"], "stage": 1, "event_id": event["event_id"]}}
            events.write(json.dumps(known) + "\\n")
"""


def fake_peer(folder: Path, behaviour: str = "") -> Path:
    """The executable of a peer that behaves like this."""
    path = folder / "peer"
    path.write_text(_SCRIPT.format(python=sys.executable, behaviour=behaviour), "utf-8")
    path.chmod(0o755)
    return path
