"""Attacks from outside, one function ("story") for each.

The number in a docstring is the id of the directive in configs/directives_example.json. A complete
attack has exactly the events that the stages need: more events would open a second backlog.
"""

from collections.abc import Iterator
from random import Random

from shards.demo.scenario import company as co
from shards.demo.scenario.event import Event, Flow, local, spaced_times, tcp, udp
from shards.demo.scenario.sensors import (
    APACHE,
    ASA,
    IDS,
    INTEGRITY,
    MAILBOXES,
    OPENVPN,
    SSHD,
    WINDOWS,
)

_GUESSED_NAMES = ("root", "admin", "test", "oracle", "ubuntu", "git", "postgres", "backup")
_UPLOADED = "/var/www/shop/uploads/img_0417.php"


def ssh_brute_force(at: float, rng: Random) -> Iterator[Event]:
    """1001: 41 wrong passwords, then the right one."""
    yield from _ssh_guesses(rng, at, co.SSH_ATTACKER, 41)
    yield SSHD.log(at + 190, tcp(rng, co.SSH_ATTACKER, co.JUMP, 22), 7, user="backup")


def ssh_brute_force_gives_up(at: float, rng: Random) -> Iterator[Event]:
    """1001, incomplete: 20 wrong passwords."""
    yield from _ssh_guesses(rng, at, co.SSH_ATTACKER_WITHOUT_SUCCESS, 20)


def _ssh_guesses(rng: Random, at: float, src: str, count: int) -> Iterator[Event]:
    for time in spaced_times(rng, at, count, 3):
        user = rng.choice(_GUESSED_NAMES)
        sid = 5 if user == "root" else rng.choice((1, 3))
        yield SSHD.log(time, tcp(rng, src, co.JUMP, 22), sid, user=user)


def port_scan(at: float, rng: Random) -> Iterator[Event]:
    """1002: 56 ports of the shop, then a probe of its database that the IDS reports too."""
    yield from _denied_ports(rng, at, co.PORT_SCANNER, 56)
    yield IDS.log(at + 60, tcp(rng, co.PORT_SCANNER, co.SHOP, 3306), 2010937)


def port_scan_breaks_off(at: float, rng: Random) -> Iterator[Event]:
    """1002, incomplete: 24 ports."""
    yield from _denied_ports(rng, at, co.SHORT_PORT_SCANNER, 24)


def _denied_ports(rng: Random, at: float, src: str, count: int) -> Iterator[Event]:
    """Denied connections; every seventh port comes twice, which sticky DST_PORT counts once."""
    ports = rng.sample(range(20, 9000), count)
    for number, (time, port) in enumerate(
        zip(spaced_times(rng, at, count, 0.5), ports, strict=True)
    ):
        yield ASA.log(time, tcp(rng, src, co.SHOP, port), 106023)
        if number % 7 == 6:
            yield ASA.log(time + 0.1, tcp(rng, src, co.SHOP, port), 106023)


def web_shell(at: float, rng: Random) -> Iterator[Event]:
    """1004: a PHP file is uploaded, appears on the disk, and the web server connects outwards."""
    yield IDS.log(at, tcp(rng, co.WEB_SHELL_ATTACKER, co.SHOP, 443), 2011768, url="/upload.php")
    yield INTEGRITY.at("shop").log(at + 4, local(co.SHOP), 554, file=_UPLOADED)
    yield IDS.log(at + 95, tcp(rng, co.SHOP, co.WEB_SHELL_DROP, 80), 2013028, url="/x/stage2.sh")


def web_shell_upload_blocked(at: float, rng: Random) -> Iterator[Event]:
    """1004, incomplete: the upload is reported, but no file appears."""
    yield IDS.log(
        at, tcp(rng, co.BLOCKED_WEB_SHELL_ATTACKER, co.WWW, 443), 2011768, url="/contact.php"
    )


def web_attack_campaign(at: float, rng: Random) -> Iterator[Event]:
    """1007: a scan by sqlmap, injections, then errors of the server."""
    yield from _web_campaign(rng, at, co.SQL_ATTACKER, co.SHOP, "shop")


def web_attack_campaign_over_ipv6(at: float, rng: Random) -> Iterator[Event]:
    """1007 again, over IPv6."""
    yield from _web_campaign(rng, at, co.SQL_ATTACKER_V6, co.WWW_V6, "www")


def _web_campaign(rng: Random, at: float, src: str, dst: str, web: str) -> Iterator[Event]:
    """A campaign in which the signature of stage 1 also fires between the later stages."""
    apache = APACHE.at(web)
    yield IDS.log(at, tcp(rng, src, dst, 443), 2008538, url="/product?id=1")
    for number, time in enumerate(spaced_times(rng, at + 5, 5, 6)):
        url = f"/product?id=1+union+select+{number}"
        yield IDS.log(time, tcp(rng, src, dst, 443), rng.choice((2006445, 2006446)), url=url)
        yield IDS.log(time + 1, tcp(rng, src, dst, 443), 2008538, url=url)
    for number, time in enumerate(spaced_times(rng, at + 60, 5, 8)):
        url = f"/product?id=1+union+select+{number},password"
        yield IDS.log(time - 1, tcp(rng, src, dst, 443), 2006446, url=url)
        yield apache.log(time, tcp(rng, src, dst, 443), 500, url=url)


def exploit(at: float, rng: Random) -> Iterator[Event]:
    """1021: a request with a command, its output to the attacker, and a connection elsewhere."""
    request = tcp(rng, co.EXPLOITER, co.WWW, 443)
    answer = Flow(request.dst, request.src, request.dst_port, request.src_port, request.protocol)
    yield IDS.log(at, request, 2019401, url="/status")
    yield IDS.log(at + 2, answer, 2012887)
    yield ASA.log(at + 48, tcp(rng, co.WWW, co.TOOL_SERVER, 443), 302013)


def credential_stuffing(at: float, rng: Random) -> Iterator[Event]:
    """1022: stolen passwords of 16 users from 16 addresses, then one that fits."""
    names = rng.sample(co.USERS, 17)
    for user, src, time in zip(names, co.STUFFERS, spaced_times(rng, at, 17, 20), strict=True):
        flow = tcp(rng, src, co.MAIL, 443)
        sid = 4624 if user == names[16] else 4625
        yield WINDOWS.at("mail01").log(time, flow, sid, user=user)


def password_spraying(at: float, rng: Random) -> Iterator[Event]:
    """1013: failed logins to 16 mailboxes, then a login to another."""
    names = rng.sample(co.USERS, 17)
    for user, time in zip(names[:16], spaced_times(rng, at, 16, 25), strict=True):
        yield _mail_logon(rng, time, 4625, user)
    yield _mail_logon(rng, at + 540, 4624, names[16])


def password_forgotten(at: float, rng: Random) -> Iterator[Event]:
    """1013, incomplete: six failed logins to one mailbox."""
    for time in spaced_times(rng, at, 6, 9):
        flow = tcp(rng, co.TRAVELLER_AT_HOME, co.MAIL, 443)
        yield WINDOWS.at("mail01").log(time, flow, 4625, user="v.kumar")


def _mail_logon(rng: Random, time: float, sid: int, user: str) -> Event:
    flow = tcp(rng, co.SPRAYER, co.MAIL, 443)
    return WINDOWS.at("mail01").log(time, flow, sid, user=user)


def impossible_travel(at: float, rng: Random) -> Iterator[Event]:
    """1014: VPN logins at home and abroad within half an hour, then one to the jump host."""
    home = udp(rng, co.TRAVELLER_AT_HOME, co.VPN, 1194)
    abroad = udp(rng, co.TRAVELLER_ABROAD, co.VPN, 1194)
    yield OPENVPN.log(at, home, 1, user=co.TRAVELLER, country="DE")
    yield OPENVPN.log(at + 1500, abroad, 1, user=co.TRAVELLER, country="BR")
    flow = tcp(rng, co.VPN_CLIENTS[7], co.JUMP, 22)
    yield SSHD.log(at + 1720, flow, 7, user=co.TRAVELLER)


def mailbox_takeover(at: float, rng: Random) -> Iterator[Event]:
    """1024: a mailbox is opened from abroad, forwarded, and its password is changed."""
    for sid, later, custom in (
        (1, 0, {"user": co.MAILBOX_OWNER}),
        (3, 260, {"user": co.MAILBOX_OWNER, "target": "k.schulz@mail.example"}),
        (2, 420, {"user": co.MAILBOX_OWNER}),
    ):
        flow = tcp(rng, co.MAILBOX_THIEF, co.MAIL, 443)
        yield MAILBOXES.log(at + later, flow, sid, **custom)


def log_cleared(at: float, rng: Random) -> Iterator[Event]:
    """1025: the security log of a server is cleared."""
    yield WINDOWS.log(at, tcp(rng, co.FILES, co.DC1, 445), 1102, user="svc-backup2")


def directory_scan(at: float, rng: Random) -> Iterator[Event]:
    """1026: 90 names that are not there, which would be several alarms without its cool-down."""
    for number, time in enumerate(spaced_times(rng, at, 90, 1)):
        flow = tcp(rng, co.DIRECTORY_SCANNER, co.WWW, 443)
        yield APACHE.at("www").log(time, flow, 404, url=f"/backup/{number}.zip")
