"""The NATS server of the manifests: nats-server takes its configuration, and keeps events."""

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
import yaml
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamInfo

from tests.support.nats_server import NatsServer, frame, wait_until
from tests.support.pages import FENCE, read_page
from tests.support.paths import ROOT
from tests.support.stream_server import configured_server

DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "kubernetes" / "nats"
CONFIG = FOLDER / "nats.conf"
NATS_SERVER = Path(sys.executable).with_name("nats-server")
SUBJECT = "dsiem_events"
GIB = 1 << 30
EVENTS = 2000
BURST = 200_000
"""Events that are published as fast as possible."""

pytestmark = pytest.mark.integration  # a nats-server, in a process


def load(path: Path) -> dict[str, Any]:
    """A file with one YAML document."""
    loaded: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return loaded


def container_of(path: Path) -> dict[str, Any]:
    """The container in the pod template of a manifest."""
    [container] = load(path)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def kubernetes_limits() -> dict[str, str]:
    """The variables of the overlay `stream`."""
    container = container_of(DEPLOY / "kubernetes" / "overlays" / "stream" / "backend.yaml")
    return {variable["name"]: variable["value"] for variable in container["env"]}


def compose_limits() -> dict[str, str]:
    """The variables about the stream in the compose file."""
    services = load(DEPLOY / "docker" / "compose.cluster.yaml")["services"]
    environment: dict[str, str] = services["backend"]["environment"]
    return {name: value for name, value in environment.items() if name.startswith("DSIEM_STREAM")}


def check_config(path: Path) -> subprocess.CompletedProcess[str]:
    """Let nats-server check a configuration."""
    command = [str(NATS_SERVER), "-t", "-c", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with configured_server(CONFIG, tmp_path) as running:
        yield running


async def make_stream(server: NatsServer, limits: dict[str, str]) -> StreamInfo:
    """Make the stream as `--stream-create` does, with these variables."""
    client = await nats.connect(server.url)
    try:
        return await client.jetstream().add_stream(
            name=limits["DSIEM_STREAM"],
            subjects=[SUBJECT],
            storage=StorageType.FILE,
            max_age=int(limits["DSIEM_STREAM_MAX_AGE"]) * 3600,
            max_bytes=int(limits["DSIEM_STREAM_MAX_BYTES"]),
        )
    finally:
        await client.close()


@pytest.fixture
def server_with_users(tmp_path: Path) -> Iterator[NatsServer]:
    """One that lets `backend` do what docs/operate.md says, and `admin` everything."""
    [permissions] = [
        text for kind, text in FENCE.findall(read_page("operate.md")) if kind == "conf"
    ]
    users = f"{{user: admin, password: x}}, {{user: backend, password: x\n{permissions}}}"
    storage = f"jetstream {{ store_dir: {tmp_path}/data }}"
    with NatsServer(tmp_path, f"authorization {{ users: [{users}] }}", storage) as running:
        yield running


async def read_stream(client: Client) -> int:
    """Read all messages without acknowledgements, from the second one on; returns how many."""
    stream = client.jetstream(timeout=1)
    state = (await stream.stream_info("dsiem")).state
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=state.first_seq + 1,
    )
    reader = await stream.pull_subscribe(SUBJECT, stream="dsiem", config=config)
    return len(await reader.fetch(state.messages, timeout=1))


def stored(server: NatsServer) -> int:
    """How many messages are in all streams."""
    return int(server.monitor("jsz")["messages"])


def test_nats_server_accepts_the_configuration() -> None:
    done = check_config(CONFIG)
    assert done.returncode == 0, done.stderr


def test_nats_server_refuses_a_configuration_with_an_unknown_key(tmp_path: Path) -> None:
    (tmp_path / "nats.conf").write_text(CONFIG.read_text("utf-8").replace("sync_", "synch_"))
    done = check_config(tmp_path / "nats.conf")
    assert done.returncode != 0
    assert "synch_interval" in done.stderr


def test_compose_and_kubernetes_have_the_same_server_and_limits() -> None:
    assert (DEPLOY / "docker" / "nats.conf").read_bytes() == CONFIG.read_bytes()
    service = load(DEPLOY / "docker" / "compose.cluster.yaml")["services"]["nats"]
    container = container_of(FOLDER / "statefulset.yaml")
    assert (service["image"], service["command"]) == (container["image"], container["args"])
    assert compose_limits() == kubernetes_limits()


def test_the_server_finds_its_configuration_and_stores_on_its_volume() -> None:
    container = container_of(FOLDER / "statefulset.yaml")
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["args"] == ["--config", f"{places['config']}/{CONFIG.name}"]
    assert f"store_dir: {places['data']}\n" in CONFIG.read_text("utf-8")
    volumes = load(DEPLOY / "docker" / "compose.cluster.yaml")["services"]["nats"]["volumes"]
    assert volumes == [f"./nats.conf:{container['args'][1]}:ro", f"nats:{places['data']}"]


def test_the_ports_are_those_of_the_pod() -> None:
    text = CONFIG.read_text("utf-8")
    ports = [int(number) for number in re.findall(r"^(?:http_)?port: (\d+)$", text, re.M)]
    container = container_of(FOLDER / "statefulset.yaml")
    assert ports == [port["containerPort"] for port in container["ports"]]


def test_the_stream_fits_into_the_server_and_the_server_into_its_volume(server: NatsServer) -> None:
    config = server.monitor("jsz")["config"]
    [claim] = load(FOLDER / "statefulset.yaml")["spec"]["volumeClaimTemplates"]
    volume = claim["spec"]["resources"]["requests"]["storage"]
    assert volume.endswith("Gi")
    limit = int(kubernetes_limits()["DSIEM_STREAM_MAX_BYTES"])
    assert limit * 1.1 < config["max_storage"] < int(volume[:-2]) * GIB * 0.9


def test_it_syncs_more_often_than_by_default(server: NatsServer) -> None:
    assert server.monitor("jsz")["config"]["sync_interval"] == 1_000_000_000  # ns


def test_the_probes_succeed(server: NatsServer) -> None:
    container = container_of(FOLDER / "statefulset.yaml")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        with opener.open(f"{server.monitor_url}{path}") as reply:
            assert (probe, reply.status, json.loads(reply.read())) == (probe, 200, {"status": "ok"})


def test_events_outlive_the_server(server: NatsServer) -> None:
    """What is published with core NATS, as a frontend does, is there after kill -9."""
    made = asyncio.run(make_stream(server, kubernetes_limits()))
    assert made.config.max_age == 24 * 3600
    with server.publisher() as publisher:
        publisher.publish(SUBJECT, (b'{"number": %d}' % number for number in range(EVENTS)))
    wait_until(lambda: stored(server) == EVENTS, lambda: f"{stored(server)} of {EVENTS} are stored")
    server.kill()
    server.start()
    assert stored(server) == EVENTS


def test_a_burst_is_stored(server: NatsServer) -> None:
    """With the limit that nats-server has by default, most of it would be dropped."""
    asyncio.run(make_stream(server, kubernetes_limits()))
    with server.publisher() as publisher:
        publisher.send(frame(SUBJECT, b"{}") * BURST)
        publisher.flush()
    wait_until(lambda: stored(server) == BURST, lambda: f"{stored(server)} of {BURST} are stored")


def test_the_documented_permissions_are_enough_and_do_not_include_a_purge(
    server_with_users: NatsServer,
) -> None:
    refused: list[str] = []

    async def on_error(error: Exception) -> None:
        refused.append(str(error))

    async def use() -> tuple[int, bytes]:
        url = server_with_users.url
        admin = await nats.connect(url, user="admin", password="x")
        await admin.jetstream().add_stream(name="dsiem", subjects=[SUBJECT])
        client = await nats.connect(url, user="backend", password="x", error_cb=on_error)
        core = await client.subscribe(SUBJECT)
        signals = await admin.subscribe("dsiem_overload_signals")
        await client.flush()
        await admin.flush()
        for _ in range(10):
            await admin.jetstream().publish(SUBJECT, b"{}")
        read = await read_stream(client)
        await core.next_msg(1)
        await client.publish("dsiem_overload_signals", b"true")
        signal = (await signals.next_msg(1)).data
        assert refused == []
        with pytest.raises(Error):
            await client.jetstream(timeout=0.2).purge_stream("dsiem")
        await client.close()
        await admin.close()
        return read, signal

    assert asyncio.run(use()) == (9, b"true")
    assert len(refused) == 1
    assert "$js.api.stream.purge.dsiem" in refused[0]
