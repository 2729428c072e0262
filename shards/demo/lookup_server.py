"""A small lookup server for the example, which answers as WISE and as Nesd do.

Threat intelligence at `/wise/<address>`, vulnerabilities at `/nesd?ip=<address>&port=<port>`. To
start it alone, on the port in example/configs/: `python -m shards.demo.lookup_server`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from shards.demo.scenario import company as co

PORT = 8081
ADDRESS = f"127.0.0.1:{PORT}"
"""Where the configuration of the example expects it."""
NO_VULNERABILITY = 418
"""The status of Nesd for a port without a known vulnerability."""

INTEL = {
    co.COMMAND_SERVER: {"c2.family": "BeaconLoader", "ip.asn": "AS64500 Example Hosting"},
    co.SSH_ATTACKER: {"blocklist": "SSH brute force, seen by 41 sensors"},
    co.WEB_SHELL_ATTACKER: {"blocklist": "web exploits"},
    co.PORT_SCANNER: {"scanner": "unannounced"},
}
"""Fields and values by address."""

VULNERABILITIES = {
    (co.SHOP, "443"): ("Critical", "Apache path traversal", "CVE-2021-41773"),
    (co.FILES, "445"): ("High", "SMB signing not required", ""),
}
"""Risk, name and CVE number by address and port."""


class Handler(BaseHTTPRequestHandler):
    """Replies to lookups."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/wise/"):
            self.reply(200, _wise(url.path.removeprefix("/wise/")))
        elif url.path == "/nesd":
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            status, body = _nesd(query.get("ip", ""), query.get("port", ""))
            self.reply(status, body)
        else:
            self.reply(404, "there is /wise/<address> and /nesd?ip=<address>&port=<port>\n")

    def reply(self, status: int, text: str) -> None:
        """Send a reply, unless the client has gone: the service may stop, or wait no longer."""
        body = text.encode()
        with suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        """Do not log requests."""


def _wise(address: str) -> str:
    """The reply of WISE: a JavaScript literal whose first entry is metadata."""
    entries = [("wise", "example", 1)]
    entries += [(field, text, len(text) + 1) for field, text in INTEL.get(address, {}).items()]
    listed = (
        f"{{field: {json.dumps(field)}, len: {length}, value: {json.dumps(text)}}}"
        for field, text, length in entries
    )
    return f"[{', '.join(listed)}]"


def _nesd(address: str, port: str) -> tuple[int, str]:
    vulnerability = VULNERABILITIES.get((address, port))
    if vulnerability is None:
        return NO_VULNERABILITY, "no vulnerability found\n"
    return 200, json.dumps([dict(zip(("risk", "name", "cve"), vulnerability, strict=True))])


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # the service asks for many addresses at once


@contextmanager
def serving(port: int = 0) -> Iterator[int]:
    """Run the server in a thread, on a port of 127.0.0.1 (0: any free one), which is yielded."""
    with _Server(("127.0.0.1", port), Handler) as server:
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
