"""The example company: addresses and users, and the addresses of attackers.

Internal addresses are those of configs/assets_example.json. External addresses are from blocks that
are reserved for documentation, so that no real host appears as an attacker.
"""

FIREWALL = "10.20.1.1"
DC1 = "10.20.1.10"
DC2 = "10.20.1.11"
FILES = "10.20.1.20"
ERP_DB = "10.20.1.30"
MAIL = "10.20.1.40"
JUMP = "10.20.1.50"
DNS = "10.20.1.53"
BACKUP = "10.20.1.60"
MONITOR = "10.20.1.70"
PROXY = "10.20.1.80"
SCANNER = "10.20.1.99"
"""The vulnerability scanner, which is whitelisted."""

WWW = "172.20.5.10"
SHOP = "172.20.5.11"
VPN = "172.20.5.20"
MX = "172.20.5.25"
WWW_V6 = "2001:db8:20:5::10"

SERVERS = (DC1, DC2, FILES, ERP_DB, MAIL, JUMP, DNS, BACKUP, MONITOR, PROXY)
WEB_SERVERS = (WWW, SHOP)

USERS = (
    *("a.berg", "a.okafor", "b.kaya", "c.lindner", "c.moreau", "d.fischer", "e.rossi", "f.novak"),
    *("g.huber", "h.tanaka", "i.santos", "j.meyer", "k.schulz", "l.petrov", "m.weber", "m.yilmaz"),
    *("n.jansen", "o.brandt", "p.garcia", "r.vogel", "s.keller", "t.wagner", "u.stein", "v.kumar"),
)
"""Users at headquarters; the nth user has the nth workstation."""

ADMIN = "adm.huber"
WORKSTATIONS = tuple(f"10.20.10.{number}" for number in range(21, 21 + len(USERS)))
WORKSTATIONS_V6 = tuple(f"2001:db8:20:10::{number:x}" for number in range(21, 21 + len(USERS)))
FINANCE_PC = "10.20.10.35"
"""The first host to be infected: m.weber of Finance opens an invoice."""
FINANCE_USER = "m.weber"
HELPDESK_PC = "10.20.10.60"
BRANCH_PCS = tuple(f"10.30.10.{number}" for number in range(11, 31))
BRANCH_KIOSK = "10.30.10.44"
VPN_CLIENTS = tuple(f"10.20.200.{number}" for number in range(10, 40))

CUSTOMERS = tuple(f"198.51.100.{number}" for number in range(100, 200))
CUSTOMERS_V6 = tuple(f"2001:db8:c0de::{number:x}" for number in range(1, 40))
PARTNERS = tuple(f"192.0.2.{number}" for number in range(10, 90))
"""External web sites, cloud services and mail servers."""
INTERNET_NOISE = tuple(f"203.0.113.{number}" for number in range(100, 250))
"""Sources of random probes from the internet."""

SSH_ATTACKER = "203.0.113.45"
SSH_ATTACKER_WITHOUT_SUCCESS = "203.0.113.46"
PORT_SCANNER = "203.0.113.12"
SHORT_PORT_SCANNER = "203.0.113.13"
WEB_SHELL_ATTACKER = "198.51.100.23"
WEB_SHELL_DROP = "192.0.2.200"
BLOCKED_WEB_SHELL_ATTACKER = "198.51.100.24"
SQL_ATTACKER = "198.51.100.66"
SQL_ATTACKER_V6 = "2001:db8:bad::66"
EXPLOITER = "198.51.100.31"
TOOL_SERVER = "192.0.2.201"
DIRECTORY_SCANNER = "198.51.100.90"
SPRAYER = "203.0.113.80"
STUFFERS = tuple(f"192.0.2.{number}" for number in range(210, 227))
"""The botnet that tries stolen passwords, each from another address."""
MAILBOX_THIEF = "203.0.113.81"
MAILBOX_OWNER = "k.schulz"
TRAVELLER = "i.santos"
TRAVELLER_AT_HOME = "192.0.2.120"
TRAVELLER_ABROAD = "203.0.113.200"
COMMAND_SERVER = "198.51.100.77"
SCRIPT_SERVER = "192.0.2.202"
TUNNEL_DOMAIN = "cdn-sync.example"
