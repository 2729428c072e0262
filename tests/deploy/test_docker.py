"""The image and the compose files, as far as they can be tested without an engine."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from shards.alarm_files import ALARM_EVENTS, ALARMS
from shards.settings.settings import SETTINGS_TABLE, Settings
from tests.support.paths import ROOT

DOCKER = ROOT / "deploy" / "docker"
HADOLINT = Path(sys.executable).with_name("hadolint")
COMPOSE = sorted(DOCKER.glob("compose.*.yaml"))
VARIABLES = {row.env for row in SETTINGS_TABLE.values()}
OF_THE_FRONTEND = {"DSIEM_MODE", "DSIEM_NODE", "DSIEM_MSQ"}


def lines_of(instruction: str) -> list[str]:
    text = (DOCKER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and line[0] != "#"]
    return [" ".join(rest.split()) for word, rest in lines if word == instruction]


def test_hadolint_has_nothing_against_the_image() -> None:
    done = subprocess.run(
        [HADOLINT, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_the_folders_of_existing_images_and_an_unprivileged_user() -> None:
    assert lines_of("VOLUME") == ['["/dsiem/configs", "/dsiem/logs"]']
    assert lines_of("USER") == ["10001:10001"]
    assert lines_of("ENTRYPOINT") == ['["dsiem-backend"]']
    [variables] = [line for line in lines_of("ENV") if line.startswith("DSIEM_")]
    settings = dict(part.split("=", 1) for part in variables.split())
    assert settings.pop("PYTHONDONTWRITEBYTECODE") == "1"
    assert settings.keys() <= VARIABLES
    assert settings["DSIEM_ADDRESS"] == settings["DSIEM_OPS_ADDRESS"] == "0.0.0.0"


class Livez(BaseHTTPRequestHandler):
    """Replies to GET /livez with `status`."""

    status: int

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/livez" else 404)
        self.end_headers()

    def log_message(self, *_args: object) -> None: ...


@pytest.mark.integration
def test_the_health_check_asks_the_ops_port_and_no_proxy() -> None:
    [check] = lines_of("HEALTHCHECK")
    assert f"'DSIEM_OPS_PORT', '{Settings().ops_port}'" in check
    program = json.loads(check.partition(" CMD ")[2])[-1]
    with ThreadingHTTPServer(("127.0.0.1", 0), Livez) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        variables = {"DSIEM_OPS_PORT": str(server.server_port), "http_proxy": "http://127.0.0.1:1"}
        for Livez.status, code in ((200, 0), (503, 1)):
            command = [sys.executable, "-c", program]
            assert subprocess.run(command, env=variables, check=False).returncode == code
        server.shutdown()


@pytest.mark.integration
def test_what_the_image_gets_is_enough_for_a_wheel_with_all_of_the_program(
    tmp_path: Path,
) -> None:
    """The files that .dockerignore lets through make a wheel."""
    let_through = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    copied = {word for line in lines_of("COPY") for word in line.split()[:-1]}
    assert copied == set(let_through)
    for name in let_through:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--quiet", "--wheel-dir", tmp_path / "wheels", tmp_path],
        check=True,
    )
    [wheel] = (tmp_path / "wheels").glob("*.whl")
    parts = (".py", ".schema.json")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(parts)}
    own = [
        path
        for folder in ("engine", "shards")
        for path in (ROOT / folder).rglob("*")
        if path.name.endswith(parts)
    ]
    assert packed == {"cli.py", *(str(path.relative_to(ROOT)) for path in own)}


@pytest.fixture(params=COMPOSE, ids=lambda path: path.name)
def services(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(request.param.read_text("utf-8"))["services"]
    return found


def test_the_program_knows_every_variable(services: dict[str, Any]) -> None:
    own = services["backend"]["environment"].keys()
    assert [name for name in own if name not in VARIABLES] == []
    frontend = services.get("frontend", {"environment": {}})["environment"].keys()
    assert frontend <= OF_THE_FRONTEND


def place(volume: str | dict[str, Any]) -> str:
    """Where it is in the container."""
    return str(volume["target"]) if isinstance(volume, dict) else volume.split(":")[1]


def test_the_backend_may_write_nowhere_but_into_its_volumes(services: dict[str, Any]) -> None:
    backend = services["backend"]
    assert backend["read_only"] is True
    assert backend["cap_drop"] == ["ALL"]
    assert backend["security_opt"] == ["no-new-privileges:true"]
    places = [place(volume) for volume in backend["volumes"]]
    assert places == ["/dsiem/configs", "/dsiem/logs"]
    grace = int(backend["stop_grace_period"].removesuffix("s"))
    assert grace > Settings().shutdown_timeout + 5


def test_filebeat_reads_what_the_backend_writes(services: dict[str, Any]) -> None:
    filebeat = yaml.safe_load((DOCKER / "filebeat.yml").read_text("utf-8"))
    paths = [path for one in filebeat["filebeat.inputs"] for path in one["paths"]]
    # The end of what was rotated last would be lost if Filebeat was away meanwhile.
    assert paths == [
        f"/dsiem/logs/{name}{end}" for name in (ALARMS, ALARM_EVENTS) for end in ("", ".1")
    ]
    assert "logs:/dsiem/logs" in services["backend"]["volumes"]
    assert "logs:/dsiem/logs:ro" in services["filebeat"]["volumes"]
    group = re.search(r"^USER \d+:(\d+)$", (DOCKER / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert group
    assert services["filebeat"]["group_add"] == [group[1]]


def test_later_lines_of_an_alarm_replace_its_document_in_their_order() -> None:
    """With an id alone Filebeat would create documents, and drop what there is already."""
    filebeat = yaml.safe_load((DOCKER / "filebeat.yml").read_text("utf-8"))
    alarms, events = filebeat["filebeat.inputs"]
    assert alarms["fields"]["op_type"] == "index"
    assert "op_type" not in events["fields"]
    [processor] = filebeat["processors"]
    copied = {one["from"]: one["to"] for one in processor["copy_fields"]["fields"]}
    assert copied == {"alarm_id": "@metadata._id", "fields.op_type": "@metadata.op_type"}
    assert filebeat["output.elasticsearch"]["worker"] == 1


def test_filebeat_logs_where_it_is_looked_for(services: dict[str, Any]) -> None:
    """A command of one's own leaves out the image's, which sends the log to stderr."""
    assert "-e" in services["filebeat"]["command"]


def test_the_document_names_what_compose_files_ask_for() -> None:
    document = (DOCKER / "README.md").read_text("utf-8")
    for file in COMPOSE:
        wanted = re.findall(r"\$\{(\w+):\?", file.read_text("utf-8"))
        assert "CONFIGS" in wanted
        assert [name for name in wanted if f"{name}=" not in document] == []
