"""Takes the picture of `explain` in README.md: `python docs/explain_image.py`.

It shows what the program prints about the directive of directives.md and five events.
"""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).resolve().parent
IMAGE = FOLDER / "images" / "explain.svg"
WIDTH = 112
EVENTS = (
    ("a1", "08:00:00", "203.0.113.7"),
    ("a2", "08:00:03", "203.0.113.8"),
    ("a3", "08:00:09", "203.0.113.7"),
    ("a4", "08:05:41", "203.0.113.7"),
)
"""Failed logins at one server: id, time, source."""
_COMMAND = ("explain", "--config-dir", "configs", "sshd.ndjson")


def write_inputs(folder: Path) -> None:
    """Write the configuration and the events."""
    page = (FOLDER / "directives.md").read_text("utf-8")
    configs = folder / "configs"
    configs.mkdir()
    for kind in ("assets", "directives"):
        [text] = re.findall(rf"```json {kind}\n(.*?)```", page, re.DOTALL)
        (configs / f"{kind}_example.json").write_text(text, "utf-8")
    lines = [
        json.dumps(
            {
                "event_id": id_,
                "timestamp": f"2026-03-04T{time}Z",
                "sensor": "jump01",
                "src_ip": source,
                "dst_ip": "10.0.0.50",
                "plugin_id": 4003,
                "plugin_sid": 1,
            }
        )
        for id_, time, source in EVENTS
    ]
    (folder / "sshd.ndjson").write_text("\n".join(lines), "utf-8")


def explain(folder: Path) -> str:
    """What the program prints, with colours."""
    program = Path(sys.executable).with_name("dsiem-backend")
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    run = subprocess.run(
        [program, *_COMMAND], cwd=folder, env=environment, capture_output=True, check=True
    )
    return run.stdout.decode()


def picture(printed: str) -> str:
    """The picture of a terminal, without the fonts of another host."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(f"[bold]$ dsiem-backend {' '.join(_COMMAND)}[/]", highlight=False)
    console.print(Text.from_ansi(printed))
    image = console.export_svg(title="dsiem-backend explain", unique_id="explain")
    return re.sub(r"@font-face \{.*?\}\s*", "", image, flags=re.DOTALL)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        write_inputs(Path(name))
        IMAGE.write_text(picture(explain(Path(name))), "utf-8")
