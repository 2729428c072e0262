"""Attacks from inside, one function ("story") for each; most are steps of one intrusion.

It begins with an invoice that is opened in Finance, and ends on the file server. The number in a
story's docstring is the directive's id in configs/directives_example.json.
"""

from collections.abc import Iterator
from random import Random

from shards.demo.scenario import company as co
from shards.demo.scenario.event import Event, Flow, icmp, local, spaced_times, tcp, udp
from shards.demo.scenario.sensors import (
    ASA,
    BACKUPS,
    BRANCH_FIREWALL,
    DNS_SERVER,
    IDS,
    SAMBA,
    SYSMON,
    WINDOWS,
)

_TEMP = rf"C:\Users\{co.FINANCE_USER}\AppData\Local\Temp"
_DROPPED = rf"{_TEMP}\upd4821.exe"
_POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
_ADMIN_SHARE = r"\\*\ADMIN$"
_FOLDERS = ("Finance", "Sales", "HR", "Projects", "Legal")
_HEX = "0123456789abcdef"


def office_downloader(at: float, rng: Random) -> Iterator[Event]:
    """1008: Word starts PowerShell, which drops a file; that connects to its server."""
    here = local(co.FINANCE_PC)
    word = {"parent_process": "WINWORD.EXE", "process": "powershell.exe", "file": _POWERSHELL}
    drop = {"parent_process": "", "process": "powershell.exe", "file": _DROPPED}
    run = {"parent_process": "powershell.exe", "process": "upd4821.exe", "file": _DROPPED}
    call = tcp(rng, co.FINANCE_PC, co.COMMAND_SERVER, 4443)
    yield SYSMON.log(at, here, 1, **word)
    yield SYSMON.log(at + 6, here, 11, **drop)
    yield SYSMON.log(at + 8, here, 1, **run)
    yield SYSMON.log(at + 21, call, 3, **run)


def encoded_script(at: float, rng: Random) -> Iterator[Event]:
    """1023: PowerShell runs an encoded command, which connects outwards."""
    command = rf"{_POWERSHELL} -NoProfile -EncodedCommand JABzAD0ATgBlAHcA"
    run = {"parent_process": "explorer.exe", "process": "powershell.exe", "command": command}
    yield SYSMON.log(at, local(co.HELPDESK_PC), 1, **run)
    yield SYSMON.log(at + 4, tcp(rng, co.HELPDESK_PC, co.SCRIPT_SERVER, 443), 3, **run)


def office_add_in(at: float, rng: Random) -> Iterator[Event]:
    """1008, incomplete: an add-in of Excel starts cmd.exe."""
    excel = {"parent_process": "EXCEL.EXE", "process": "cmd.exe"}
    yield SYSMON.log(at, local(rng.choice(co.WORKSTATIONS[:5])), 1, **excel)


def beaconing(at: float, rng: Random) -> Iterator[Event]:
    """1010: connections to the same rare port every five minutes, then an alert of the IDS."""
    for time in spaced_times(rng, at, 13, 300):
        yield ASA.log(time, tcp(rng, co.FINANCE_PC, co.COMMAND_SERVER, 4443), 302013)
    yield IDS.log(at + 5300, tcp(rng, co.FINANCE_PC, co.COMMAND_SERVER, 4443), 2404301)


def remote_support(at: float, rng: Random) -> Iterator[Event]:
    """1010, incomplete: a remote support tool connects to its own port five times."""
    for time in spaced_times(rng, at, 5, 240):
        yield ASA.log(time, tcp(rng, co.WORKSTATIONS[3], co.PARTNERS[4], 5938), 302013)


def ping_sweep(at: float, rng: Random) -> Iterator[Event]:
    """1003: 61 addresses of the server network, in half a minute."""
    hosts = rng.sample(range(2, 99), 61)
    for host, time in zip(hosts, spaced_times(rng, at, 61, 0.5), strict=True):
        yield IDS.log(time, icmp(co.FINANCE_PC, f"10.20.1.{host}"), 2100469)


def lateral_movement(at: float, rng: Random) -> Iterator[Event]:
    """1005: PsExec to the file server, and from there to three more."""
    yield _admin_share(rng, at, co.FINANCE_PC, co.FILES)
    service = WINDOWS.at("files01")
    yield service.log(at + 3, local(co.FILES), 7045, service="PSEXESVC", user="SYSTEM")
    for dst, time in zip(
        (co.BACKUP, co.ERP_DB, co.DC1), spaced_times(rng, at + 60, 3, 45), strict=True
    ):
        yield _admin_share(rng, time, co.FILES, dst)


def helpdesk_at_work(at: float, rng: Random) -> Iterator[Event]:
    """1005, incomplete: the helpdesk opens the admin share of a few workstations."""
    for dst, time in zip(
        rng.sample(co.WORKSTATIONS, 4), spaced_times(rng, at, 4, 400), strict=True
    ):
        yield _admin_share(rng, time, co.HELPDESK_PC, dst)


def _admin_share(rng: Random, time: float, src: str, dst: str) -> Event:
    return WINDOWS.log(time, tcp(rng, src, dst, 445), 5140, share=_ADMIN_SHARE, user=co.ADMIN)


def rogue_administrator(at: float, rng: Random) -> Iterator[Event]:
    """1011: a new account becomes a domain admin, and logs in."""
    flow = tcp(rng, co.FILES, co.DC1, 389)
    yield WINDOWS.log(at, flow, 4720, user="svc-backup2", changed_by=co.ADMIN)
    yield WINDOWS.log(at + 40, flow, 4728, user="svc-backup2", group="Domain Admins")
    yield WINDOWS.log(at + 310, tcp(rng, co.FILES, co.DC1, 445), 4672, user="svc-backup2")


def new_colleague(at: float, rng: Random) -> Iterator[Event]:
    """1011, incomplete: a new account in an ordinary group."""
    flow = tcp(rng, co.HELPDESK_PC, co.DC1, 389)
    yield WINDOWS.log(at, flow, 4720, user="w.lang", changed_by=co.ADMIN)
    yield WINDOWS.log(at + 55, flow, 4728, user="w.lang", group="Sales")


def dns_tunnel(at: float, rng: Random) -> Iterator[Event]:
    """1009: 141 different long queries for names of one domain."""
    yield from _queries(rng, at, co.ERP_DB, co.TUNNEL_DOMAIN, 141)


def antivirus_lookups(at: float, rng: Random) -> Iterator[Event]:
    """1009, incomplete: a virus scanner looks up 50 checksums by DNS."""
    yield from _queries(rng, at, co.WORKSTATIONS[9], "av-lookup.example", 50)


def _queries(rng: Random, at: float, src: str, domain: str, count: int) -> Iterator[Event]:
    for time in spaced_times(rng, at, count, 2):
        query = f"{''.join(rng.choices(_HEX, k=44))}.{domain}"
        sid = rng.choice((10, 16, 16))
        yield DNS_SERVER.log(time, udp(rng, src, co.DNS, 53), sid, domain=domain, query=query)


def ransomware(at: float, rng: Random) -> Iterator[Event]:
    """1012: 101 files of the file server get a new extension within a minute and a half."""
    flow = tcp(rng, co.FINANCE_PC, co.FILES, 445)
    yield from _renames(rng, at, flow, co.FINANCE_USER, "lockd", 101, 0.8)


def tidying_up(at: float, rng: Random) -> Iterator[Event]:
    """1012, incomplete: a user renames 30 old files to .bak."""
    flow = tcp(rng, co.WORKSTATIONS[6], co.FILES, 445)
    yield from _renames(rng, at, flow, co.USERS[6], "bak", 30, 1.2)


def _renames(
    rng: Random, at: float, flow: Flow, user: str, extension: str, count: int, gap: float
) -> Iterator[Event]:
    for number, time in enumerate(spaced_times(rng, at, count, gap), 1):
        file = f"{rng.choice(_FOLDERS)}/2024/document_{number:03}.{extension}"
        yield SAMBA.log(time, flow, 4, user=user, file=file, extension=extension)


def worm_in_the_branch(at: float, rng: Random) -> Iterator[Event]:
    """1006: denied SMB connections from a kiosk to many addresses, then a permitted connection."""
    for dst, time in zip(
        rng.sample(co.INTERNET_NOISE, 21), spaced_times(rng, at, 21, 4), strict=True
    ):
        yield BRANCH_FIREWALL.log(time, tcp(rng, co.BRANCH_KIOSK, dst, 445), 1)
    yield BRANCH_FIREWALL.log(at + 150, tcp(rng, co.BRANCH_KIOSK, co.COMMAND_SERVER, 8080), 2)


def blocked_game(at: float, rng: Random) -> Iterator[Event]:
    """1006, incomplete: eight denied connections of a game."""
    for dst, time in zip(rng.sample(co.PARTNERS, 8), spaced_times(rng, at, 8, 5), strict=True):
        yield BRANCH_FIREWALL.log(time, udp(rng, co.BRANCH_PCS[2], dst, 27015), 1)


def backups(at: float, rng: Random) -> Iterator[Event]:
    """1020: two servers begin a backup; that of the database does not finish."""
    for host, name in ((co.FILES, "files01"), (co.ERP_DB, "erp-db01")):
        yield BACKUPS.log(at, tcp(rng, host, co.BACKUP, 9102), 1, host=name)
        at += 40
    yield BACKUPS.log(at + 900, tcp(rng, co.FILES, co.BACKUP, 9102), 2, host="files01")
