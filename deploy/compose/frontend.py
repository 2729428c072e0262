"""In place of a Dsiem frontend: serves the configuration of the example, and its lookups.

`/config/` lists the files of a folder, `/config/<name>` is one of them, as a frontend of Dsiem
replies. URLs of the example's lookup server lead to this one, which replies to them, too.
Needs only Python, and deploy/example in PYTHONPATH. The argument is its port, 8080 by default.
"""

import json
import sys
from http.server import ThreadingHTTPServer
from pathlib import Path

import lookup_server

CONFIGS = Path(__file__).resolve().parent.parent / "example" / "configs"
LIST = "/config/"


class _Handler(lookup_server.Handler):
    def do_GET(self) -> None:  # noqa: N802 - the name that http.server has
        files = {path.name: path for path in sorted(CONFIGS.glob("*.json"))}
        name = self.path.removeprefix(LIST)
        if self.path == LIST:
            self.reply(200, json.dumps({"files": [{"filename": name} for name in files]}))
        elif self.path.startswith(LIST) and name in files:
            text = files[name].read_text("utf-8")
            self.reply(200, text.replace(lookup_server.ADDRESS, self.headers["Host"]))
        else:
            super().do_GET()


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    with ThreadingHTTPServer(("", port), _Handler) as server:
        server.serve_forever()
