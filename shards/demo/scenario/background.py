"""Background events: the logs of normal operation.

Most of them match no directive. Some match a first stage (a mistyped password, a probe from the
internet) and open a backlog that times out. None of them must complete a directive.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

from shards.demo.scenario import company as co
from shards.demo.scenario.event import Event, icmp, local, spaced_times, tcp, udp
from shards.demo.scenario.sensors import (
    APACHE,
    ASA,
    BRANCH_FIREWALL,
    DHCP,
    DNS_SERVER,
    IDS,
    OPENVPN,
    POSTFIX,
    SAMBA,
    SQUID,
    SSHD,
    SYSMON,
    WINDOWS,
)

Routine: TypeAlias = Callable[[float, Random], Event]

_URLS = ("/", "/about", "/product?id=17", "/cart", "/static/site.css", "/static/logo.svg", "/login")
_SITES = ("news.example", "maps.example", "office.example", "bank.example", "weather.example")
_PROGRAMS = ("chrome.exe", "Teams.exe", "notepad.exe", "OUTLOOK.EXE", "EXCEL.EXE", "svchost.exe")
_EXTENSIONS = ("docx", "xlsx", "pdf", "pptx", "tmp")
_HARMLESS_SIGNATURES = (2009475, 2013504, 2018959, 2221010, 2230010)
_PROBED_PORTS = (23, 80, 445, 1433, 3389, 5060, 5555, 8080)


def background(rng: Random, count: int, duration: float) -> Iterator[Event]:
    """`count` events of random routines, by their weights, spread over `duration` seconds."""
    routines = tuple(ROUTINES)
    for routine in rng.choices(routines, weights=tuple(ROUTINES.values()), k=count):
        yield routine(rng.uniform(0, duration), rng)


def vulnerability_scan(at: float, rng: Random) -> Iterator[Event]:
    """Events of the whitelisted scanner, which would match 1003 and 1007 from another source."""
    hosts = rng.sample(range(2, 250), 30)
    for host, time in zip(hosts, spaced_times(rng, at, 30, 1), strict=True):
        yield IDS.log(time, icmp(co.SCANNER, f"10.20.10.{host}"), 2100469)
    for time in spaced_times(rng, at + 60, 10, 4):
        yield IDS.log(time, tcp(rng, co.SCANNER, co.WWW, 443), 2002677, url=rng.choice(_URLS))


def _web_visit(at: float, rng: Random) -> Event:
    server, name = rng.choice(((co.WWW, "www"), (co.SHOP, "shop")))
    flow = tcp(rng, rng.choice(co.CUSTOMERS), server, 443)
    sid = rng.choices((200, 304, 404), weights=(80, 15, 5))[0]
    return APACHE.at(name).log(at, flow, sid, url=rng.choice(_URLS))


def _web_visit_over_ipv6(at: float, rng: Random) -> Event:
    flow = tcp(rng, rng.choice(co.CUSTOMERS_V6), co.WWW_V6, 443)
    return APACHE.log(at, flow, 200, url=rng.choice(_URLS))


def _web_error(at: float, rng: Random) -> Event:
    flow = tcp(rng, rng.choice(co.CUSTOMERS), co.SHOP, 443)
    return APACHE.at("shop").log(at, flow, 500, url="/cart")


def _browsing(at: float, rng: Random) -> Event:
    flow = tcp(rng, rng.choice(co.WORKSTATIONS), co.PROXY, 3128)
    return SQUID.log(at, flow, 200, site=rng.choice(_SITES))


def _name_lookup(at: float, rng: Random) -> Event:
    src = rng.choice((*co.WORKSTATIONS, *co.WORKSTATIONS_V6, *co.SERVERS))
    dst = "2001:db8:20:1::53" if ":" in src else co.DNS
    domain = rng.choice(_SITES)
    flow = udp(rng, src, dst, 53)
    return DNS_SERVER.log(at, flow, rng.choice((1, 28)), domain=domain, query=f"www.{domain}")


def _sender_policy_lookup(at: float, rng: Random) -> Event:
    domain = rng.choice(_SITES)
    flow = udp(rng, co.MX, co.DNS, 53)
    return DNS_SERVER.log(at, flow, 16, domain=domain, query=f"_spf.{domain}")


def _session_end(at: float, rng: Random) -> Event:
    src, dst = rng.choice(co.WORKSTATIONS), rng.choice(co.PARTNERS)
    if rng.random() < 0.3:
        return ASA.log(at, udp(rng, src, dst, 443), 302016)
    return ASA.log(at, tcp(rng, src, dst, 443), 302014)


def _branch_session_end(at: float, rng: Random) -> Event:
    flow = tcp(rng, rng.choice(co.BRANCH_PCS), rng.choice(co.PARTNERS), 443)
    return BRANCH_FIREWALL.log(at, flow, 3)


def _outbound_session(at: float, rng: Random) -> Event:
    flow = tcp(rng, rng.choice(co.WORKSTATIONS), rng.choice(co.PARTNERS), rng.choice((80, 443)))
    return ASA.log(at, flow, 302013)


def _probe_from_the_internet(at: float, rng: Random) -> Event:
    dst = rng.choice((co.WWW, co.SHOP, co.VPN, co.MX))
    flow = tcp(rng, rng.choice(co.INTERNET_NOISE), dst, rng.choice(_PROBED_PORTS))
    return ASA.log(at, flow, 106023)


def _harmless_alert(at: float, rng: Random) -> Event:
    flow = tcp(rng, rng.choice(co.WORKSTATIONS), rng.choice(co.PARTNERS), 80)
    return IDS.log(at, flow, rng.choice(_HARMLESS_SIGNATURES))


def _monitoring_ping(at: float, rng: Random) -> Event:
    return IDS.log(at, icmp(co.MONITOR, rng.choice(co.SERVERS)), 2100366)


def _kerberos(at: float, rng: Random) -> Event:
    user, src = _user_and_workstation(rng)
    flow = tcp(rng, src, rng.choice((co.DC1, co.DC2)), 88)
    return WINDOWS.log(at, flow, rng.choice((4768, 4769, 4769)), user=user)


def _logoff(at: float, rng: Random) -> Event:
    user, src = _user_and_workstation(rng)
    return WINDOWS.log(at, tcp(rng, src, co.FILES, 445), 4634, user=user)


def _logon(at: float, rng: Random) -> Event:
    user, src = _user_and_workstation(rng)
    return WINDOWS.log(at, tcp(rng, src, co.DC1, 445), 4624, user=user)


def _mistyped_password(at: float, rng: Random) -> Event:
    user, src = _user_and_workstation(rng)
    return WINDOWS.log(at, tcp(rng, src, co.DC1, 445), 4625, user=user)


def _program(at: float, rng: Random) -> Event:
    custom = {"parent_process": "explorer.exe", "process": rng.choice(_PROGRAMS)}
    return SYSMON.log(at, local(rng.choice(co.WORKSTATIONS)), rng.choice((1, 5, 5)), **custom)


def _file_access(at: float, rng: Random) -> Event:
    user, src = _user_and_workstation(rng)
    extension = rng.choice(_EXTENSIONS)
    file = f"Projects/2025/note_{rng.randint(1, 400):03}.{extension}"
    flow = tcp(rng, src, co.FILES, 445)
    sid = rng.choices((2, 3, 4), weights=(6, 3, 1))[0]
    return SAMBA.log(at, flow, sid, user=user, file=file, extension=extension)


def _mail(at: float, rng: Random) -> Event:
    return POSTFIX.log(at, tcp(rng, rng.choice(co.PARTNERS), co.MX, 25), 1)


def _lease(at: float, rng: Random) -> Event:
    pc = rng.choice(co.WORKSTATIONS)
    return DHCP.log(at, udp(rng, pc, co.DNS, 67), 5, host=pc)


def _admin_shell(at: float, rng: Random) -> Event:
    flow = tcp(rng, co.HELPDESK_PC, co.JUMP, 22)
    return SSHD.log(at, flow, rng.choices((1, 8, 11), weights=(1, 5, 6))[0], user=co.ADMIN)


def _vpn_session(at: float, rng: Random) -> Event:
    flow = udp(rng, rng.choice(co.CUSTOMERS), co.VPN, 1194)
    users = [user for user in co.USERS if user != co.TRAVELLER]
    custom = {"user": rng.choice(users), "country": "DE"}
    return OPENVPN.log(at, flow, rng.choice((1, 2)), **custom)


def _user_and_workstation(rng: Random) -> tuple[str, str]:
    """A random user, and the address of the user's workstation."""
    return rng.choice(tuple(zip(co.USERS, co.WORKSTATIONS, strict=True)))


ROUTINES: dict[Routine, float] = {
    _web_visit: 19,
    _web_visit_over_ipv6: 2,
    _web_error: 0.3,
    _browsing: 15,
    _name_lookup: 18,
    _sender_policy_lookup: 0.3,
    _session_end: 14,
    _branch_session_end: 4,
    _outbound_session: 2,
    _probe_from_the_internet: 1.2,
    _harmless_alert: 3,
    _monitoring_ping: 0.4,
    _kerberos: 6,
    _logoff: 3,
    _logon: 2,
    _mistyped_password: 0.4,
    _program: 3,
    _file_access: 4,
    _mail: 3,
    _lease: 2,
    _admin_shell: 0.6,
    _vpn_session: 0.6,
}
"""Relative frequency of each routine."""
