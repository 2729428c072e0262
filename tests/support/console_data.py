"""Generated data of the console's contract: alarms, backlogs, directives, the flow of a service.

All of it follows from a seed, and times count back from a moment that the caller gives.
"""

import random
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

DIRECTIVES = (
    (1001, "SSH brute force from SRC_IP to DST_IP, then a login", "Intrusion", "Brute Force", 5),
    (1002, "Port scan of DST_IP", "Reconnaissance", "Port Scan", 3),
    (1003, "Malware beacon from SRC_IP", "Malware", "Command and Control", 5),
    (1004, "Many denied connections from SRC_IP", "Policy", "Firewall", 2),
    (1005, "Web shell uploaded to DST_IP", "Intrusion", "Web Attack", 5),
    (1006, "Password spraying against DST_IP", "Access", "Brute Force", 4),
    (1007, "DNS tunnel from SRC_IP", "Exfiltration", "DNS", 4),
    (1008, "Lateral movement over SMB from SRC_IP", "Intrusion", "Lateral Movement", 5),
    (1009, "New administrator on DST_IP", "Access", "Account", 3),
    (1010, "Outbound traffic to a known Tor node", "Policy", "Anonymizer", 3),
    (1011, "Log source DST_IP is silent", "Availability", "Logging", 1),
    (1012, "SQL injection against DST_IP", "Intrusion", "Web Attack", 4),
)
"""Id, name, kingdom, category, priority."""
STAGE_NAMES = (
    ("a failed login", "several failed logins", "many failed logins", "a login that succeeds"),
    ("a denied port", "ten different ports", "a hundred different ports", "a thousand ports"),
    ("a first contact", "a regular pattern", "a download of a file", "an upload of data"),
)
HOSTS = {
    "10.20.1.50": "jump01",
    "10.20.1.5": "db01",
    "10.20.4.12": "mail",
    "10.20.7.80": "web-frontend-2",
    "10.30.0.9": "",
}
RISK_CLASSES = ("Low", "Medium", "High")


def risk_class(risk: int) -> str:
    """The class of a risk with the default limits."""
    return "Low" if risk < 3 else "Medium" if risk <= 6 else "High"


def make_rules(directive: int) -> list[Document]:
    """The rules of a directive, as in an alarm line."""
    stages = 2 + directive % 3
    names = STAGE_NAMES[directive % 3]
    rules: list[Document] = []
    for stage in range(1, stages + 1):
        taxonomy = directive % 4 == 1 and stage == 2
        rule: Document = {
            "name": names[stage - 1],
            "type": "TaxonomyRule" if taxonomy else "PluginRule",
            "stage": stage,
            "plugin_id": 0 if taxonomy else 4000 + directive % 5,
            "plugin_sid": [] if taxonomy else list(range(1, 1 + stage)),
            "occurrence": 1 if stage == 1 else (5, 20, 100)[stage % 3],
            "from": "!HOME_NET" if stage == 1 else ":1",
            "to": "HOME_NET" if stage == 1 else ":1",
            "port_from": "ANY",
            "port_to": "22, 2222" if directive % 2 else "ANY",
            "protocol": "ANY",
            "reliability": min(10, 2 * stage),
            "timeout": 0 if stage == 1 else 300 * stage,
        }
        if taxonomy:
            rule |= {"product": ["Firewall"], "category": "Network", "subcategory": ["Denied"]}
        if stage == 3:
            rule |= {"sticky_different": "DST_PORT", "custom_data1": "root, admin"}
            rule |= {"custom_label1": "user"}
        rules.append(rule)
    return rules


def address(ip: str) -> Document:
    """An address of a summary."""
    return {"ip": ip, "name": HOSTS.get(ip, "")}


def make_alarm(number: int, now: float, rng: random.Random) -> Document:
    """The detail of an alarm; number 0 is the newest one."""
    id_, name, kingdom, category, priority = rng.choice(DIRECTIVES[:10])
    rules = make_rules(id_)
    stages = len(rules)
    finished = rng.randint(1, stages)
    state = "finished" if finished == stages else rng.choice(("open", "open", "timeout"))
    at = now - 4 - 80_000 * (1 - 1 / (1 + number / 400))
    sources = [f"203.0.113.{rng.randint(1, 40)}" for _ in range(rng.choice((1, 1, 1, 2, 9)))]
    targets = [rng.choice(tuple(HOSTS)) for _ in range(rng.choice((1, 1, 2)))]
    sources, targets = list(dict.fromkeys(sources)), list(dict.fromkeys(targets))
    risk = min(10, priority * rules[finished - 1]["reliability"] * rng.randint(2, 5) // 18)
    risk = max(1, risk)
    target = HOSTS[targets[0]] or targets[0]
    created = at - 40 * finished
    summary = {
        "id": f"{number:06x}".translate(str.maketrans("0123", "KxQ_")).rjust(9, "a")[-9:],
        "sequence": 1_000_000 - number,
        "title": name.replace("SRC_IP", sources[0]).replace("DST_IP", target),
        "directive": id_,
        "kingdom": kingdom,
        "category": category,
        "status": "Open",
        "tag": "Identified Threat",
        "risk": risk,
        "risk_class": risk_class(risk),
        "state": state,
        "stage": min(stages, finished + 1),
        "stages": stages,
        "stages_finished": finished,
        "created_time": int(created),
        "update_time": int(at),
        "written_time": at,
        "src": [address(ip) for ip in sources[:3]],
        "src_count": len(sources),
        "dst": [address(ip) for ip in targets[:3]],
        "dst_count": len(targets),
        "intel_hits": rng.choice((0, 0, 0, 2)),
        "vulnerabilities": rng.choice((0, 0, 0, 0, 1)),
    }
    return _detail(summary, rules, sources, targets)


def _detail(
    summary: Document, rules: list[Document], sources: list[str], targets: list[str]
) -> Document:
    hits = [
        {
            "kind": "intel",
            "provider": "Wise",
            "term": sources[0],
            "result": "threat: known scanner, seen by 14 sensors",
        }
        for _ in range(summary["intel_hits"])
    ]
    hits += [
        {
            "kind": "vuln",
            "provider": "Nesd",
            "term": f"{targets[0]}:22",
            "result": "High - OpenSSH user enumeration (CVE-2018-15473)",
        }
        for _ in range(summary["vulnerabilities"])
    ]
    custom = [{"label": "user", "content": "root"}, {"label": "", "content": "sshd[4711]"}]
    stages = list(_stages(summary, rules))
    return {
        "alarm": summary,
        "directive_name": {row[0]: row[1] for row in DIRECTIVES}.get(summary["directive"], ""),
        "stages": stages,
        "addresses": [
            {
                "ip": ip,
                "name": HOSTS.get(ip, ""),
                "source": ip in sources,
                "destination": ip in targets,
                "value": 4 if ip in targets else 0,
                "networks": ["10.20.0.0/16"] if ip.startswith("10.20") else [],
            }
            for ip in (*sources, *targets)
        ],
        "networks": ["10.20.0.0/16"],
        "hits": hits,
        "custom_data": custom,
        "changes": [
            {
                "time": summary["created_time"] + 40 * step,
                "risk": max(1, summary["risk"] - summary["stages_finished"] + step),
                "risk_class": risk_class(
                    max(1, summary["risk"] - summary["stages_finished"] + step)
                ),
                "stage": step,
                "state": "open" if step < summary["stages_finished"] else summary["state"],
            }
            for step in range(1, summary["stages_finished"] + 1)
        ],
        "events_missing": "",
        "event_count": sum(stage["taken"] or 0 for stage in stages),
        "record": {"alarm_id": summary["id"], "title": summary["title"], "rules": rules},
    }


def _stages(summary: Document, rules: list[Document]) -> Iterator[Document]:
    finished, state = summary["stages_finished"], summary["state"]
    for rule in rules:
        number = rule["stage"]
        start = summary["created_time"] + 40 * (number - 1)
        last = number == finished + 1
        name = "finished" if number <= finished else "waiting"
        if last:
            name = {"open": "current", "timeout": "timeout"}.get(state, "waiting")
        yield {
            "stage": number,
            "name": rule["name"],
            "taken": rule["occurrence"]
            if name == "finished"
            else rule["occurrence"] * 3 // 5
            if last
            else 0,
            "needed": rule["occurrence"],
            "state": name,
            "start_time": None if name == "waiting" else start,
            "end_time": start + 40 if name == "finished" else None,
            "expires_time": start + rule["timeout"] if name == "current" else None,
            "reliability": rule["reliability"],
            "rule": rule,
        }


def make_events(detail: Document) -> list[Document]:
    """The events of an alarm."""
    events: list[Document] = []
    for stage in detail["stages"]:
        for number in range(stage["taken"] or 0):
            at = stage["start_time"] + 0.4 * number
            events.append(
                {
                    "number": len(events) + 1,
                    "event_id": f"5f0c{len(events):04x}-9c95-523b-b771-1e5c1f2b57d6",
                    "stage": stage["stage"],
                    "written_time": at,
                }
            )
    return events


def make_backlog(number: int, now: float, rng: random.Random) -> Document:
    """An open backlog."""
    detail = make_alarm(number, now, rng)
    alarm = detail["alarm"]
    rules = detail["record"]["rules"]
    rule = rules[rng.randint(1, len(rules) - 1)]
    return {
        "id": alarm["id"],
        "directive": alarm["directive"],
        "title": alarm["title"],
        "risk": alarm["risk"] if number % 4 else 0,
        "risk_class": alarm["risk_class"] if number % 4 else "Low",
        "stage": rule["stage"],
        "stages": len(rules),
        "stage_name": rule["name"],
        "taken": rng.randint(0, rule["occurrence"] - 1),
        "needed": rule["occurrence"],
        "src": alarm["src"],
        "src_count": alarm["src_count"],
        "dst": alarm["dst"],
        "dst_count": alarm["dst_count"],
        "created_time": alarm["created_time"],
        "update_time": alarm["update_time"],
        "expires_time": now + rng.random() * rule["timeout"],
        "worker": alarm["directive"] % 2,
    }


def make_directives(alarms: list[Document], now: float) -> list[Document]:
    """A summary of each directive, with what the alarms say of it."""
    directives = []
    for id_, name, kingdom, category, priority in DIRECTIVES:
        times = [one["alarm"]["created_time"] for one in alarms if one["alarm"]["directive"] == id_]
        day = [at for at in times if at > now - 86400]
        spark = [0] * 24
        for at in day:
            spark[min(23, 23 - int((now - at) // 3600))] += 1
        directives.append(
            {
                "id": id_,
                "name": name,
                "kingdom": kingdom,
                "category": category,
                "priority": priority,
                "stages": 2 + id_ % 3,
                "worker": id_ % 2,
                "matches": len(times) * 41,
                "backlogs": id_ % 7 * 13,
                "alarms_hour": sum(at > now - 3600 for at in day),
                "alarms_day": len(day),
                "last_fired": max(times, default=None),
                "noisy": len(day) >= 10 and len(day) * 8 > len(alarms),
                "spark": spark,
            }
        )
    return directives


def make_flow(now: float, beat: int) -> Document:
    """The state of a service that is well; `beat` counts the samples."""
    received = 48_000_000 + 41_000 * beat
    ledger: Document = {
        "events": {
            "received": received,
            "routed": received * 6 // 10,
            "unmatched": received * 4 // 10 - 1900,
            "whitelisted": 1700,
            "invalid": {"bad_json": 120, "bad_address": 80},
            "dropped": {},
            "elsewhere": 0,
        },
        "feed": {"lost": 0, "seconds_without": 0.0, "cut": 0, "expired": 0, "bodies_cut": 0},
        "deliveries": {
            "sent": received * 7 // 10,
            "consumed": received // 10,
            "unmatched": received * 6 // 10,
            "invalid": {},
            "dropped": {},
            "lost": {},
            "in_flight": 412,
            "redelivered": 0,
        },
        "outcomes": {
            "taken": received // 12,
            "opened": received // 400,
            "repeated": 9120,
            "sticky_seen": 80_411,
            "out_of_order": 12,
        },
        "backlogs": {
            "opened": received // 400,
            "restored": 0,
            "finished": 40_000,
            "expired": 70_000,
            "open": 1_204,
            "interrupted": 0,
        },
        "rolled_back": 0,
        "invalid_fields": {"bad_address:src_ip": 80},
        "repaired": {"dst_port": 14},
        "capped": {},
        "from_future": 3,
        "id_reused": 0,
        "outdated": 0,
        "late": 0,
        "lookups": {},
        "unreported_seconds": 0.0,
    }
    rates = {
        "events.received": 41_000.0,
        "events.routed": 24_600.0,
        "events.unmatched": 16_390.0,
        "events.whitelisted": 10.0,
        "deliveries.sent": 28_700.0,
        "deliveries.consumed": 4_100.0,
        "deliveries.unmatched": 24_600.0,
        "outcomes.taken": 3_410.0,
        "outcomes.opened": 102.0,
        "outcomes.sticky_seen": 588.0,
        "backlogs.opened": 102.0,
        "backlogs.finished": 31.0,
        "backlogs.expired": 71.0,
        "alarms.High": 0.4,
        "alarms.Medium": 2.2,
        "alarms.Low": 7.0,
    }
    workers = [
        {
            "worker": number,
            "up": True,
            "ready": True,
            "restarts": 0,
            "silent_seconds": 0.2,
            "idle_seconds": 0.0,
            "has_pipe": True,
            "events_per_second": 14_350.0 + 900 * number,
            "queue": 210 + 40 * number + 17 * (beat % 5),
            "queue_capacity": 25_000,
            "backlogs": 600 + 4 * number,
            "directives": 6,
            "active_directives": 5,
            "checkpoint_trouble": "",
            "counts": {
                "consumed": received // 20,
                "unmatched": received * 3 // 10,
                "invalid": 0,
            },
        }
        for number in range(2)
    ]
    return {
        "time": now,
        "version": "0.1.0",
        "uptime_seconds": 93_600.0 + beat,
        "ready": True,
        "missing": [],
        "stuck": [],
        "warnings": [],
        "stopping": False,
        "events_per_second": 41_000.0 + 130 * (beat % 7),
        "alarms_written": {"Low": 40_211, "Medium": 12_400, "High": 881},
        "source": {"kind": "stream", "connected": True, "lag": 38},
        "router": {"up": True, "ready": True, "restarts": 0, "silent_seconds": 0.1},
        "workers": workers,
        "ledger": ledger,
        "adds_up": True,
        "rates": rates,
        "output": {"trouble": "", "errors": 0},
        "checkpoint": {"time": now - 4.2, "troubles": {}},
        "latency": {"p50": 0.0021, "p99": 0.034},
        "generation": 3,
        "sequence": 1_000_000,
    }


def make_history(since: float, until: float, parts: int, rng: random.Random) -> Document:
    """Samples of a day with a restart and a reload in it."""
    step = (until - since) / parts
    names = ("events", "alarms", "queue", "lag", "backlogs", "checkpoint_age")
    base = {"events": 40_000, "alarms": 45, "queue": 300, "lag": 40, "backlogs": 1200}
    series: dict[str, list[float | None]] = {
        name: [
            base.get(name, 5) * (0.7 + 0.3 * ((part * 7) % 11) / 11 + 0.2 * rng.random())
            for part in range(parts)
        ]
        for name in names
    }
    for part in range(parts * 6 // 10, parts * 6 // 10 + 5):
        series["queue"][part] = 18_000 - 2_000 * (part % 5)
        series["lag"][part] = 9_000 - 1_000 * (part % 5)
    for name in ("dropped", "lost", "rolled_back", "late"):
        series[name] = [0.0] * parts
    series["lost"][parts * 6 // 10] = 412.0
    incidents = [
        {"time": since + 0.2 * (until - since), "kind": "start", "process": "", "text": "started"},
        {
            "time": since + 0.6 * (until - since),
            "kind": "restart",
            "process": "worker-1",
            "text": "worker-1 was killed by signal 9 and started again within 0.4 s",
        },
        {
            "time": since + 0.8 * (until - since),
            "kind": "reload",
            "process": "",
            "text": "generation 3: 1 directive added, 2 changed, 0 removed",
        },
    ]
    return {"since": since, "step": step, "series": series, "incidents": incidents}


SETTINGS: tuple[tuple[str, str, Any, Any, str, str], ...] = (
    ("config_dir", "files", "/etc/dsiem/configs", "./configs", "flag", "--config-dir"),
    ("log_dir", "files", "/var/log/dsiem", "./logs", "variable", "DSIEM_LOG_DIR"),
    ("max_queue", "limits", 25000, 25000, "default", ""),
    ("max_eps", "limits", 50000, 1000, "file", "/etc/dsiem/dsiem.conf:12"),
    ("api_token", "HTTP", "***", "", "variable", "DSIEM_API_TOKEN"),
    ("status", "alarms", ["Open", "In-Progress", "Closed"], ["Open"], "default", ""),
    ("med_risk_min", "alarms", 3, 3, "default", ""),
    ("ops_port", "ops", 9090, 9090, "default", ""),
    ("match_protocol", "correlation", True, False, "file", "/etc/dsiem/dsiem.conf:4"),
)
"""Name, group, value, default, source, place."""


def make_config(now: float) -> Document:
    """An effective configuration."""
    settings = [
        {
            "name": name,
            "flag": "--" + name.replace("_", "-"),
            "variable": "DSIEM_" + name.upper(),
            "group": group,
            "help": "What this setting does, in one line",
            "value": value,
            "default": default,
            "source": source,
            "place": place,
        }
        for name, group, value, default, source, place in SETTINGS
    ]
    return {
        "version": "0.1.0",
        "generation": 3,
        "loaded_time": now - 17_000,
        "hash": "8b1f9ac04d7e22a1c0ffee",
        "folder": "/etc/dsiem/configs",
        "directives": len(DIRECTIVES),
        "rejected": 0,
        "assets": 214,
        "files": [
            {"name": "assets_example.json", "kind": "assets", "items": 214},
            {"name": "directives_example.json", "kind": "directives", "items": 12},
            {"name": "intel_wise.json", "kind": "intel", "items": 1},
        ],
        "settings": settings,
        "trouble": "",
        "can_reload": True,
        "last_reload": None,
    }


PROBLEMS = [
    {
        "file": "directives_example.json",
        "line": 14,
        "column": 19,
        "severity": "fault",
        "code": "F104",
        "directive": 1003,
        "stage": 2,
        "field": "from",
        "message": "'10.0.0.300' is neither an address nor a network; 10.0.0.30 would be one",
        "excerpt": {
            "first_line": 12,
            "first_column": 1,
            "lines": [
                '    {"name": "a regular pattern", "type": "PluginRule", "stage": 2,',
                '     "plugin_id": 4003, "plugin_sid": [1, 2],',
                '     "from": "ANY, 10.0.0.300", "to": ":1",',
                '     "reliability": 4, "timeout": 600},',
            ],
        },
    },
    {
        "file": "assets_example.json",
        "line": 3,
        "column": 5,
        "severity": "warning",
        "code": "W201",
        "directive": None,
        "stage": None,
        "field": "value",
        "message": "value is 9, above 5: risks above 10 are possible",
        "excerpt": {"first_line": 3, "first_column": 1, "lines": ['    "value": 9']},
    },
]
