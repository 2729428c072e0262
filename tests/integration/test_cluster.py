"""The cluster backend with a real NATS server and a frontend: events, faults, access, start."""

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.support.cluster import (
    CONNECTED,
    EVENTS,
    NODE,
    SIGNALS,
    backend,
    frontend_of,
    publish,
    raws,
)
from tests.support.frontend import Frontend, Reply
from tests.support.nats_server import Certificates, Credentials, NatsServer, TcpProxy, free_port
from tests.support.replaying import event
from tests.support.serving import (
    Ledger,
    NumberedEvents,
    Service,
    ServiceExit,
    counting_directive,
    directives_of,
    wait_until,
)

DIRECTIVES = (*directives_of(0, 2), *directives_of(1, 2))
"""Two for each of two workers."""


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    with frontend_of(map(counting_directive, DIRECTIVES)) as made:
        yield made


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path / "nats") as server:
        yield server


def check_all_there(service: Service, ended: ServiceExit, number: int) -> None:
    """Check that exactly `number` events arrived, and each has one alarm event line."""
    assert ended.code == 0, service.text()
    ended.ledger.check()
    assert ended.ledger["events_received"] == number
    ids = service.event_ids()
    assert len(ids) == len(set(ids)) == number == ended.ledger.lines
    assert ended.ledger["feed_cut"] == 0


def test_the_environment_of_a_dsiem_backend_is_enough(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    with socket.socket() as taken:  # a cluster backend does not listen there
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {
            "DSIEM_FRONTEND": frontend.url + "/",
            "DSIEM_PORT": str(taken.getsockname()[1]),
            "DSIEM_ADDRESS": "127.0.0.1",
            "DSIEM_WEBSOCKET": "true",
        }
        with backend(tmp_path, frontend, nats.url, environment=environment, port=None) as service:
            number = publish(nats, NumberedEvents(*DIRECTIVES).take(400))
            service.wait_for_lines(number)
            ended = service.stop()
            check_all_there(service, ended, number)
            assert {alarm["risk"] for alarm in service.alarms()} == {1, 10}
            assert ended.ledger["feed_lost"] == 0
            assert "DSIEM_WEBSOCKET (not supported)" in service.text()
    assert sorted(path.name for path in (tmp_path / "conf").glob("[!.]*")) == [
        "assets_a.json",
        f"directives_{NODE}_a.json",
    ]


def test_each_message_is_one_event_whatever_it_contains(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    good = raws(NumberedEvents(*DIRECTIVES).take(1))[0]
    odd = [good, b"", b"{}", b"[]", good + b"\n" + good, b"\xff", b"x" * 900_000, b"PING\r\n"]
    with backend(tmp_path, frontend, nats.url) as service, nats.publisher() as publisher:
        publisher.publish(EVENTS, odd)
        publisher.publish(f"{EVENTS}.more", [good])
        publisher.publish("dsiem", [good])
        publisher.flush()
        service.wait_for_lines(1)
        ended = service.stop()
        ended.ledger.check()
        assert ended.ledger["events_received"] == len(odd)
        assert ended.ledger.by_reason("events_invalid_") == {
            "bad_json": 5,
            "missing_field": 1,
            "bad_type": 1,
        }


def test_what_was_published_before_a_stop_is_correlated(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    """At a stop, the messages that the server holds for the subscription are still read."""
    with backend(tmp_path, frontend, nats.url, "--max-queue", "0") as service:
        number = publish(nats, NumberedEvents(*DIRECTIVES).take(20_000))
        check_all_there(service, service.stop(), number)


# The NATS server.


def test_a_nats_server_that_restarts(tmp_path: Path, nats: NatsServer, frontend: Frontend) -> None:
    events = NumberedEvents(*DIRECTIVES)
    begun = time.monotonic()
    with backend(tmp_path, frontend, nats.url) as service:
        first = time.monotonic() - begun  # the time before the first connection counts too
        number = publish(nats, events.take(500))
        service.wait_for_lines(number)
        killed = time.monotonic()
        nats.kill()
        service.wait_for_log("the connection to NATS is lost")
        lost = time.monotonic()
        nats.start()
        started = time.monotonic()
        service.wait_for_log(CONNECTED, 2)
        connected = time.monotonic()
        number += publish(nats, events.take(500))
        service.wait_for_lines(number)
        ended = service.stop()
        check_all_there(service, ended, number)
        assert ended.ledger["feed_lost"] == 1
        without = ended.ledger["feed_seconds_without"]
        assert started - lost < without < first + connected - killed


def test_a_nats_server_that_starts_after_the_service(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    nats.stop()
    with backend(tmp_path, frontend, nats.url, connected=False) as service:
        service.wait_for_log("trouble with NATS")
        nats.start()
        service.wait_for_log(CONNECTED)
        number = publish(nats, NumberedEvents(*DIRECTIVES).take(100))
        service.wait_for_lines(number)
        ended = service.stop()
        check_all_there(service, ended, number)
        assert ended.ledger["feed_lost"] == 0
        assert ended.ledger["feed_seconds_without"] > 0
        assert len(service.logged("trouble with NATS")) <= 4, "once per process"


def test_a_service_that_never_reached_nats_stops_on_request(
    tmp_path: Path, frontend: Frontend
) -> None:
    nowhere = f"nats://127.0.0.1:{free_port()}"
    with backend(tmp_path, frontend, nowhere, connected=False) as service:
        service.wait_for_log("trouble with NATS")
        ended = service.stop()
        assert ended.code == 0
        assert ended.seconds < 5
        ended.ledger.check()


def test_a_network_outage_of_15_seconds_loses_nothing(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    events = NumberedEvents(*DIRECTIVES)
    with TcpProxy(nats.port) as proxy, backend(tmp_path, frontend, proxy.url) as service:
        number = publish(nats, events.take(500))
        service.wait_for_lines(number)
        proxy.black_hole()
        for _ in range(30):
            number += publish(nats, events.take(50))
            time.sleep(0.5)  # the length of the outage; nothing is waited for
        assert service.lines() == 500
        proxy.let_through()
        service.wait_for_lines(number)
        ended = service.stop()
        check_all_there(service, ended, number)
        assert ended.ledger["feed_lost"] == 0


def test_connections_that_break_are_made_again_each_time(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    events = NumberedEvents(*DIRECTIVES)
    number = 0
    with TcpProxy(nats.port) as proxy, backend(tmp_path, frontend, proxy.url) as service:
        for breaks in range(1, 4):
            number += publish(nats, events.take(200))
            service.wait_for_lines(number)
            proxy.cut()
            service.wait_for_log(CONNECTED, breaks + 1)
        ended = service.stop()
        check_all_there(service, ended, number)
        assert ended.ledger["feed_lost"] == 3


def test_events_that_nats_cuts_from_a_slow_consumer_are_counted(
    tmp_path: Path, frontend: Frontend
) -> None:
    """Each published event was received, cut, or sent while nobody was subscribed."""
    with NatsServer(tmp_path / "nats", "max_pending: 2mb", 'write_deadline: "1s"') as nats:
        options = ("--nats-monitor", nats.monitor_url, "--max-queue", "0")
        with backend(tmp_path, frontend, nats.url, *options) as service:
            events = NumberedEvents(*DIRECTIVES)
            assert publish(nats, events.take(100)) == 100
            service.wait_for_lines(100)
            os.kill(service.router, signal.SIGSTOP)
            publish(nats, events.take(60_000))
            wait_until(lambda: nats.subscribers(EVENTS) == 0, "the server cuts the router off")
            os.kill(service.router, signal.SIGCONT)
            service.wait_for_log(CONNECTED, 2)
            said = service.wait_for_log("the NATS server has discarded events")
            closed = nats.monitor("connz?state=closed")["connections"]
            sent = next(c["out_msgs"] for c in closed if "Slow Consumer" in c.get("reason", ""))
            assert publish(nats, events.take(50)) == 50
            last = f"e{events.made - 1}"
            wait_until(lambda: last in service.event_ids(), "the last event")
            ended = service.stop()
            assert ended.code == 0
            ended.ledger.check()
            ledger = ended.ledger
            assert ledger["events_received"] - 50 + ledger["feed_cut"] == sent
            assert 0 < said["events"] == ledger["feed_cut"] < sent
            assert said["reason"].startswith("Slow Consumer")
            assert len(service.event_ids()) == ledger.lines == ledger["events_received"]


class Ticker:
    """Publishes an event every few milliseconds while the context is active."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.published: dict[str, float] = {}
        """When each event was published, by its id, in monotonic seconds."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        events = NumberedEvents(*DIRECTIVES, name="tick")
        with self._server.publisher() as publisher:
            while not self._ended.wait(0.005):
                (event,) = events.take(1)
                publisher.publish(EVENTS, raws([event]))
                publisher.flush()
                self.published[event["event_id"]] = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Publish no more."""
        self._ended.set()
        self._thread.join()

    def seconds_missing(self, received: Iterable[str]) -> float:
        """The time between the first and the last event that was not received."""
        known = set(received)
        missing = [at for id_, at in self.published.items() if id_ not in known]
        return max(missing) - min(missing) if missing else 0.0


def wait_for_new_events(service: Service, ticker: Ticker) -> None:
    """Wait until an event that was published after now has arrived."""
    before = len(ticker.published)
    wait_until(
        lambda: any(f"tick{n}" in service.event_ids() for n in range(before + 1, before + 50)),
        "new events",
    )


def admitted_gap(ledger: Ledger) -> float:
    """The seconds in which the service says that it may have missed events."""
    return ledger["unreported_seconds"] + ledger["feed_seconds_without"]


def test_the_gap_of_a_router_that_died_lasts_until_the_new_subscription(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    with backend(tmp_path, frontend, nats.url) as service, Ticker(nats) as ticker:
        wait_for_new_events(service, ticker)
        os.kill(service.router, signal.SIGKILL)
        service.wait_for_log(CONNECTED, 2)
        wait_for_new_events(service, ticker)
        ticker.finish()
        ended = service.stop()
        missing = ticker.seconds_missing(service.event_ids())
        ended.ledger.check()
        assert 0.1 < missing <= admitted_gap(ended.ledger) < missing + 3


@pytest.mark.parametrize("monitored", [False, True])
def test_the_gap_of_a_router_that_stalled_begins_when_the_server_cut_it_off(
    monitored: bool, tmp_path: Path, frontend: Frontend
) -> None:
    with NatsServer(tmp_path / "nats", "max_pending: 2mb", 'write_deadline: "1s"') as nats:
        options = ("--nats-monitor", nats.monitor_url) if monitored else ()
        with (
            backend(tmp_path, frontend, nats.url, "--max-queue", "0", *options) as service,
            Ticker(nats) as ticker,
        ):
            wait_for_new_events(service, ticker)
            os.kill(service.router, signal.SIGSTOP)
            publish(nats, NumberedEvents(*DIRECTIVES).take(60_000))
            wait_until(lambda: nats.subscribers(EVENTS) == 0, "the server cuts it off")
            before = len(ticker.published)
            wait_until(lambda: len(ticker.published) > before + 500, "a long stall")
            os.kill(service.router, signal.SIGCONT)
            service.wait_for_log(CONNECTED, 2)
            if monitored:
                service.wait_for_log("the NATS server has discarded events")
            wait_for_new_events(service, ticker)
            ticker.finish()
            ended = service.stop()
            missing = ticker.seconds_missing(service.event_ids())
            ended.ledger.check()
            assert missing > 2
            # Events that the server had discarded for the router are counted as such.
            assert missing - 2 < admitted_gap(ended.ledger) < missing + 4


def test_a_monitor_that_does_not_answer_is_logged_and_does_no_harm(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    options = ("--nats-monitor", f"http://127.0.0.1:{free_port()}")
    with (
        TcpProxy(nats.port) as proxy,
        backend(tmp_path, frontend, proxy.url, *options) as service,
    ):
        proxy.cut()
        service.wait_for_log("the monitoring of the NATS server does not answer")
        number = publish(nats, NumberedEvents(*DIRECTIVES).take(100))
        service.wait_for_lines(number)
        check_all_there(service, service.stop(), number)


# Access.


def test_a_user_and_a_password_in_the_url(tmp_path: Path, frontend: Frontend) -> None:
    with NatsServer(tmp_path / "nats", users={"me": "p@ss word"}) as nats:
        url = nats.url.replace("nats://", "nats://me:p%40ss%20word@")
        with backend(tmp_path, frontend, url) as service:
            number = publish(nats, NumberedEvents(*DIRECTIVES).take(50))
            service.wait_for_lines(number)
            check_all_there(service, service.stop(), number)
            assert "p%40ss" not in service.text()
            assert "p@ss" not in service.text()


def test_a_wrong_password_is_logged_and_retried(tmp_path: Path, frontend: Frontend) -> None:
    with NatsServer(tmp_path / "nats", users={"me": "right"}) as nats:
        url = nats.url.replace("nats://", "nats://me:wr0ng@")
        with backend(tmp_path, frontend, url, connected=False) as service:
            wait_until(
                lambda: any(
                    "authorization" in said["why"].lower()
                    for said in service.logged("trouble with NATS")
                ),
                "the reason in the log",
            )
            assert service.stop().code == 0
            assert "wr0ng" not in service.text()


@pytest.mark.parametrize("verify", [False, True])
def test_tls(tmp_path: Path, frontend: Frontend, verify: bool) -> None:
    certificates = Certificates.made(tmp_path)
    options = ["--nats-tls-ca", str(certificates.ca)]
    if verify:
        options += ["--nats-tls-cert", str(certificates.client_cert)]
        options += ["--nats-tls-key", str(certificates.client_key)]
    with (
        NatsServer(tmp_path / "nats", tls=certificates, verify=verify) as nats,
        backend(tmp_path, frontend, nats.url, *options) as service,
    ):
        number = publish(nats, NumberedEvents(*DIRECTIVES).take(2000))
        service.wait_for_lines(number)
        check_all_there(service, service.stop(), number)


def test_a_certificate_that_cannot_be_verified_is_refused(
    tmp_path: Path, frontend: Frontend
) -> None:
    certificates = Certificates.made(tmp_path)
    with (
        NatsServer(tmp_path / "nats", tls=certificates, verify=False) as nats,
        backend(tmp_path, frontend, nats.url, connected=False) as service,
    ):
        said = service.wait_for_log("trouble with NATS")
        assert "certificate" in said["why"].lower()
        assert service.stop().code == 0


def test_credentials(tmp_path: Path, frontend: Frontend) -> None:
    credentials = Credentials(tmp_path)
    with NatsServer(tmp_path / "nats", credentials=credentials) as nats:
        options = ("--nats-creds", str(credentials.file))
        with backend(tmp_path, frontend, nats.url, *options) as service:
            number = publish(nats, NumberedEvents(*DIRECTIVES).take(50))
            service.wait_for_lines(number)
            check_all_there(service, service.stop(), number)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN NATS USER JWT-----\n\xff"])
def test_invalid_credentials_are_logged_and_retried(
    tmp_path: Path, frontend: Frontend, content: bytes
) -> None:
    good = Credentials(tmp_path)
    file = tmp_path / "mine.creds"
    file.write_bytes(content)
    options = ("--nats-creds", str(file))
    with (
        NatsServer(tmp_path / "nats", credentials=good) as nats,
        backend(tmp_path, frontend, nats.url, *options, connected=False) as service,
    ):
        service.wait_for_log("trouble with NATS", 2)
        file.write_bytes(good.file.read_bytes())
        service.wait_for_log(CONNECTED)
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--msq", "http://nats:4222"), "DSIEM_MSQ"),
        (("--nats-creds", "/nowhere/me.creds"), "/nowhere/me.creds"),
        (("--nats-tls-cert", "/nowhere/me.pem"), "--nats-tls-key"),
        (("--nats-tls-ca", "/nowhere/ca.pem"), "/nowhere/ca.pem"),
    ],
)
def test_settings_that_cannot_work_are_named_before_anything_is_done(
    tmp_path: Path, frontend: Frontend, options: tuple[str, ...], message: str
) -> None:
    nats = "nats://127.0.0.1:4222"
    with backend(tmp_path, frontend, nats, *options, ready=False, connected=False) as service:
        assert service.process.wait(20) == 3
        assert message in service.text()
        assert "Traceback" not in service.text()
        assert frontend.asked == []


# Overload signals.


def test_late_events_send_an_overload_signal_and_its_end_to_the_frontend(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    now = time.time_ns()
    late, in_time = now - 3600 * 10**9, now + 3600 * 10**9

    def one(name: str, rcvd_time: int) -> dict[str, object]:
        return event(name, 0, DIRECTIVES[0], rcvd_time=rcvd_time)

    options = ("--hold-duration", "1", "--max-delay", "180")
    with (
        nats.listener(SIGNALS) as heard,
        backend(tmp_path, frontend, nats.url, *options) as service,
    ):
        assert heard.wait_for(1) == [b"false"]
        publish(nats, [one("a", in_time), one("b", 0), event("c", 0, DIRECTIVES[0])])
        service.wait_for_lines(3)
        publish(nats, [event("d", 0, 999, rcvd_time=late), one("c", late)])  # which nobody takes
        publish(nats, [one("e", late), one("f", late)])
        assert heard.wait_for(2) == [b"false", b"true"]
        assert heard.wait_for(3) == [b"false", b"true", b"false"]
        publish(nats, [one("g", late)])
        assert heard.wait_for(4) == [b"false", b"true", b"false", b"true"]
        ended = service.stop()
        check = ended.ledger
        check.check()
        assert check["late"] == 3


def test_a_max_delay_of_0_turns_overload_signals_off(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    with (
        nats.listener(SIGNALS) as heard,
        backend(tmp_path, frontend, nats.url, "--max-delay", "0") as service,
    ):
        publish(nats, [event("a", 0, DIRECTIVES[0], rcvd_time=1)])
        service.wait_for_lines(1)
        assert service.stop().ledger["late"] == 0
        assert heard.wait_for(1) == [b"false"]


# The frontend.


def test_without_a_frontend_it_starts_from_the_last_good_set_and_logs_it(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    with backend(tmp_path, frontend, nats.url) as service:
        assert service.stop().code == 0
    frontend.stop()
    with backend(tmp_path, frontend, nats.url, "--frontend-wait", "0") as service:
        service.wait_for_log("starting with the configuration that was downloaded before")
        number = publish(nats, NumberedEvents(*DIRECTIVES).take(100))
        service.wait_for_lines(number)
        check_all_there(service, service.stop(), number)


def test_without_a_frontend_and_without_a_set_it_waits_for_it(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    frontend.stop()
    with backend(tmp_path, frontend, nats.url, ready=False, connected=False) as service:
        service.wait_for_log("the configuration cannot be downloaded yet")
        frontend.start()
        service.wait_for_log(CONNECTED)
        assert service.stop().code == 0


def test_it_can_be_stopped_while_it_waits_for_the_frontend(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    frontend.replies["/config/"] = Reply(body=b"x" * 100, drip=5.0)
    with backend(tmp_path, frontend, nats.url, ready=False, connected=False) as service:
        frontend.wait_for("/config/")
        ended = service.stop()
        assert ended.code == 0
        assert ended.seconds < 3


def ready_lines(port: int) -> list[str]:
    """The lines of /readyz once it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            return bytes(answer.read()).decode().splitlines()
    except urllib.error.HTTPError:
        return []


def test_a_faulty_download_is_not_used_and_the_service_says_so(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url) as service:
        assert service.stop().code == 0
    faulty = [counting_directive(id_) | {"priority": 9} for id_ in DIRECTIVES]
    frontend.put(f"directives_{NODE}_a.json", {"directives": faulty})
    options = (f"--ops-port={(port := free_port())}",)
    with backend(tmp_path, frontend, nats.url, *options) as service:
        service.wait_for_log("starting with the configuration that was downloaded before")
        assert len([line for line in service.log() if "priority: is 9" in line["message"]]) == 4
        number = publish(nats, events.take(100))
        service.wait_for_lines(number)
        first, second = wait_until(lambda: ready_lines(port), "a service that is ready")
        assert first == "ok"
        assert second.endswith(f"the downloaded configuration has {len(faulty)} faults")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert b"\ndsiem_config_last_reload_successful 0.0\n" in answer.read()
        assert service.stop().code == 0
    frontend.stop()
    with backend(tmp_path, frontend, nats.url, "--frontend-wait", "0") as service:
        number += publish(nats, events.take(100))
        service.wait_for_lines(number)


def test_a_faulty_directive_of_the_frontend_is_named_and_nothing_starts(
    tmp_path: Path, nats: NatsServer
) -> None:
    faulty = counting_directive(1) | {"priority": 9}
    with (
        frontend_of([faulty]) as frontend,
        backend(tmp_path, frontend, nats.url, ready=False, connected=False) as service,
    ):
        assert service.process.wait(20) == 1
        assert f"directives_{NODE}_a.json:1:" in service.text()
        assert "priority" in service.text()


def test_a_name_that_is_a_path_is_refused(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    names = [*frontend.files, "../directives_n1_x.json", "assets_/../../x.json"]
    body = json.dumps({"files": [{"filename": name} for name in names]}).encode()
    frontend.replies["/config/"] = Reply(body=body)
    before = {path.name for path in tmp_path.iterdir()}
    with backend(tmp_path, frontend, nats.url) as service:
        assert service.stop().code == 0
        assert "refused" in service.text()
    made = {path.name for path in tmp_path.iterdir()} - before
    assert made <= {"conf", "logs", *(name for name in made if name.startswith("stderr-"))}
