"""The log sources of the example, and the messages that each of them can log.

A sensor's number for a message is its plugin_sid: the signature of an IDS, the event id of Windows,
the status of a web server, the record type of a DNS query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from shards.demo.scenario.event import Event, Fields, Flow


class Message(NamedTuple):
    """A kind of log message; the title may contain custom data, by label in braces."""

    title: str
    category: str
    subcategory: str = ""


@dataclass(frozen=True, slots=True)
class Sensor:
    """A log source. `plugin_id` 0: its events have a taxonomy only, no plugin_id and plugin_sid."""

    name: str
    product: str
    plugin_id: int
    messages: Mapping[int, Message]

    def log(self, at: float, flow: Flow, sid: int, **custom: str) -> Event:
        """An event of this sensor, with up to three custom data, by label."""
        message = self.messages[sid]
        fields: Fields = {
            "title": message.title.format(**custom),
            "sensor": self.name,
            "product": self.product,
            "category": message.category,
        }
        if message.subcategory:
            fields["subcategory"] = message.subcategory
        if self.plugin_id:
            fields |= {"plugin_id": self.plugin_id, "plugin_sid": sid}
        return Event(at, fields | _flow_fields(flow) | _custom_fields(custom))

    def at(self, name: str) -> "Sensor":
        """The same kind of sensor on another machine."""
        return replace(self, name=name)


def _flow_fields(flow: Flow) -> Fields:
    fields: Fields = {"src_ip": flow.src, "dst_ip": flow.dst}
    if flow.src_port:
        fields |= {"src_port": flow.src_port, "dst_port": flow.dst_port}
    if flow.protocol:
        fields["protocol"] = flow.protocol
    return fields


def _custom_fields(custom: Mapping[str, str]) -> Fields:
    """The fields of custom data, numbered in order; an empty text is left out, with its number."""
    fields: Fields = {}
    for number, (label, text) in enumerate(custom.items(), 1):
        if text:
            fields[f"custom_label{number}"] = label.replace("_", " ")
            fields[f"custom_data{number}"] = text
    return fields


_WEB_ATTACK = "Web Application Attack"
_SCAN = "Attempted Information Leak"
_PROTOCOL = "Generic Protocol Command Decode"
_PRIVACY = "Potential Corporate Privacy Violation"
_TROJAN = "A Network Trojan was detected"
_EXPLOIT = "Attempted Administrator Privilege Gain"

IDS = Sensor(
    "ids01",
    "Network Intrusion Detection System",
    1001,
    {
        2002677: Message("ET SCAN Nikto Web App Scan in Progress", _WEB_ATTACK),
        2006445: Message("ET WEB_SERVER Possible SQL Injection Attempt SELECT FROM", _WEB_ATTACK),
        2006446: Message("ET WEB_SERVER Possible SQL Injection Attempt UNION SELECT", _WEB_ATTACK),
        2008538: Message("ET SCAN Sqlmap SQL Injection Scan", _WEB_ATTACK),
        2009475: Message("ET POLICY TeamViewer Dyngate User-Agent", _PRIVACY),
        2010937: Message(
            "ET SCAN Suspicious inbound to mySQL port 3306", "Potentially Bad Traffic"
        ),
        2011768: Message("ET WEB_SERVER PHP tags in HTTP POST", _WEB_ATTACK),
        2012887: Message("ET ATTACK_RESPONSE Output of id command", _EXPLOIT),
        2013028: Message("ET POLICY curl User-Agent Outbound", _SCAN),
        2013504: Message(
            "ET POLICY GNU/Linux APT User-Agent Outbound likely related to package management",
            "Not Suspicious Traffic",
        ),
        2018959: Message("ET POLICY PE EXE or DLL Windows file download HTTP", _PRIVACY),
        2019401: Message("ET EXPLOIT Command in an HTTP header", _EXPLOIT),
        2100366: Message("GPL ICMP_INFO PING *NIX", "Misc activity"),
        2100469: Message("GPL SCAN PING NMAP", _SCAN),
        2221010: Message("SURICATA HTTP unable to match response to request", _PROTOCOL),
        2230010: Message("SURICATA TLS invalid record/traffic", _PROTOCOL),
        2240001: Message("SURICATA DNS Unsolicited response", _PROTOCOL),
        2404301: Message("ET CNC Feodo Tracker Reported CnC Server group 2", _TROJAN),
    },
)
ASA = Sensor(
    "asa-hq",
    "Firewall",
    1636,
    {
        106023: Message("Deny by access-group outside_in", "Access Control", "Deny"),
        302013: Message("Built outbound TCP connection", "Access Control", "Permit"),
        302014: Message("Teardown TCP connection", "Session", "End"),
        302016: Message("Teardown UDP connection", "Session", "End"),
    },
)
BRANCH_FIREWALL = Sensor(
    "fgt-branch",
    "Unified Threat Management",
    0,
    {
        1: Message("Forward traffic denied by policy", "Access Control", "Deny"),
        2: Message("Forward traffic accepted by policy", "Access Control", "Permit"),
        3: Message("Forward traffic closed", "Session", "End"),
    },
)
WINDOWS = Sensor(
    "dc01",
    "Operating System",
    1518,
    {
        1102: Message("The audit log was cleared by {user}", "System", "Log Cleared"),
        4624: Message("An account was successfully logged on: {user}", "Authentication", "Login"),
        4625: Message("An account failed to log on: {user}", "Authentication", "Failed"),
        4634: Message("An account was logged off: {user}", "Authentication", "Logout"),
        4672: Message(
            "Special privileges assigned to new logon: {user}", "Authentication", "Login"
        ),
        4720: Message("A user account was created: {user}", "Account", "Created"),
        4728: Message("{user} was added to the global group {group}", "Account", "Changed"),
        4768: Message("Kerberos authentication ticket requested: {user}", "Authentication"),
        4769: Message("Kerberos service ticket requested: {user}", "Authentication"),
        5140: Message("A network share was accessed: {share}", "Access", "Share"),
        7045: Message("A service was installed: {service}", "System", "Service"),
    },
)
SYSMON = Sensor(
    "winlogbeat",
    "Endpoint Monitoring",
    1906,
    {
        1: Message("Process created: {process}", "Process", "Created"),
        3: Message("Network connection by {process}", "Network", "Connection"),
        5: Message("Process terminated: {process}", "Process", "Terminated"),
        11: Message("File created by {process}", "File", "Created"),
    },
)
SSHD = Sensor(
    "jump01",
    "Remote Access",
    4003,
    {
        1: Message("sshd: Failed password for {user}", "Authentication", "Failed"),
        3: Message("sshd: Invalid user {user}", "Authentication", "Failed"),
        5: Message("sshd: Root login refused", "Authentication", "Failed"),
        7: Message("sshd: Accepted password for {user}", "Authentication", "Login"),
        8: Message("sshd: Accepted publickey for {user}", "Authentication", "Login"),
        11: Message("sshd: Session closed for {user}", "Authentication", "Logout"),
    },
)
APACHE = Sensor(
    "www",
    "Web Server",
    1501,
    {
        200: Message("Apache: 200 OK {url}", "Web", "Success"),
        304: Message("Apache: 304 Not Modified {url}", "Web", "Success"),
        404: Message("Apache: 404 Not Found {url}", "Web", "Client Error"),
        500: Message("Apache: 500 Internal Server Error {url}", "Web", "Server Error"),
    },
)
SQUID = Sensor("proxy01", "Proxy", 1553, {200: Message("Squid: TCP_MISS/200 {site}", "Web")})
DNS_SERVER = Sensor(
    "dns01",
    "DNS Server",
    1577,
    {
        1: Message("named: query {query} IN A", "DNS", "Query"),
        10: Message("named: query {query} IN NULL", "DNS", "Query"),
        16: Message("named: query {query} IN TXT", "DNS", "Query"),
        28: Message("named: query {query} IN AAAA", "DNS", "Query"),
    },
)
OPENVPN = Sensor(
    "vpn01",
    "VPN",
    1568,
    {
        1: Message("OpenVPN: {user} connected from {country}", "Authentication", "Login"),
        2: Message("OpenVPN: {user} disconnected", "Authentication", "Logout"),
    },
)
SAMBA = Sensor(
    "files01",
    "File Server",
    1912,
    {
        2: Message("smbd_audit: {user} read {file}", "File", "Read"),
        3: Message("smbd_audit: {user} wrote {file}", "File", "Write"),
        4: Message("smbd_audit: {user} renamed to {file}", "File", "Rename"),
    },
)
INTEGRITY = Sensor(
    "www",
    "Host Intrusion Detection System",
    7094,
    {
        550: Message("Integrity checksum changed: {file}", "File Integrity", "Changed"),
        554: Message("File added to the system: {file}", "File Integrity", "Added"),
    },
)
POSTFIX = Sensor(
    "mx01", "Mail Server", 1521, {1: Message("postfix: mail accepted", "Mail", "Accepted")}
)
MAILBOXES = Sensor(
    "mail01",
    "Mail Server",
    1645,
    {
        1: Message("Mailbox of {user} opened by a new device", "Mailbox", "Opened"),
        2: Message("Password of mailbox {user} changed", "Mailbox", "Changed"),
        3: Message("Mail of {user} is forwarded to {target}", "Mailbox", "Forwarded"),
    },
)
BACKUPS = Sensor(
    "backup01",
    "Backup",
    1733,
    {1: Message("Backup of {host} began", "Backup"), 2: Message("Backup of {host} done", "Backup")},
)
DHCP = Sensor("dns01", "DHCP Server", 1607, {5: Message("dhcpd: DHCPACK {host}", "DHCP", "Lease")})
