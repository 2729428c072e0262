"""What the example's company looks up: a small server that answers as WISE and as Nesd do.

Threat intelligence at `/wise/<address>`, vulnerabilities at `/nesd?ip=<address>&port=<port>`. By
itself: `python deploy/example/lookup_server.py`, on the port that configs/ names.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from scenario import company as co

PORT = 8081
NOTHING = 418
"""The status of Nesd for a port of which it knows nothing."""

KNOWN = {
    co.COMMAND_SERVER: {"c2.family": "BeaconLoader", "ip.asn": "AS64500 Example Hosting"},
    co.SSH_ATTACKER: {"blocklist": "SSH brute force, seen by 41 sensors"},
    co.WEB_SHELL_ATTACKER: {"blocklist": "web exploits"},
    co.PORT_SCANNER: {"scanner": "unannounced"},
}
"""By address: what is known of it."""

VULNERABILITIES = {
    (co.SHOP, "443"): ("Critical", "Apache path traversal", "CVE-2021-41773"),
    (co.FILES, "445"): ("High", "SMB signing not required", ""),
}
"""By address and port: risk, name, and number."""


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/wise/"):
            self._say(200, _wise(url.path.removeprefix("/wise/")))
        elif url.path == "/nesd":
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            status, body = _nesd(query.get("ip", ""), query.get("port", ""))
            self._say(status, body)
        else:
            self._say(404, "there is /wise/<address> and /nesd?ip=<address>&port=<port>\n")

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        """Say nothing of each request."""


def _wise(address: str) -> str:
    """In the form of JavaScript, with an entry of metadata, as WISE has it."""
    entries = [("wise", "example", 1)]
    entries += [(field, text, len(text) + 1) for field, text in KNOWN.get(address, {}).items()]
    listed = (
        f"{{field: {json.dumps(field)}, len: {length}, value: {json.dumps(text)}}}"
        for field, text, length in entries
    )
    return f"[{', '.join(listed)}]"


def _nesd(address: str, port: str) -> tuple[int, str]:
    found = VULNERABILITIES.get((address, port))
    if found is None:
        return NOTHING, "no vulnerability found\n"
    return 200, json.dumps([dict(zip(("risk", "name", "cve"), found, strict=True))])


@contextmanager
def serving(port: int = 0) -> Iterator[int]:
    """The server in a thread, at a port of 127.0.0.1, which is given; 0 is any that is free."""
    with ThreadingHTTPServer(("127.0.0.1", port), _Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with serving(PORT), suppress(KeyboardInterrupt):
        Event().wait()
