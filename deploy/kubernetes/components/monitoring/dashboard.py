"""Generates the Grafana dashboard: `python deploy/kubernetes/components/monitoring/dashboard.py`.

It writes the JSON file beside it. A test checks that the file is up to date, and that the program
has each metric of a panel.
"""

import json
from itertools import count
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("dsiem.json")
_COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT = 3, 8, 8

PANELS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "Events received",
        "reqps",
        {"{{pod}}": "sum by (pod) (rate(dsiem_events_received_total[$__rate_interval]))"},
    ),
    (
        "Events by outcome",
        "reqps",
        {
            "{{outcome}}": "sum by (outcome) (rate(dsiem_events_total[$__rate_interval]))",
            "invalid": "sum(rate(dsiem_events_invalid_total[$__rate_interval]))",
        },
    ),
    (
        "Dropped and lost",
        "reqps",
        {
            "events dropped {{reason}}": (
                "sum by (reason) (rate(dsiem_events_dropped_total[$__rate_interval]))"
            ),
            "deliveries dropped {{reason}}": (
                "sum by (reason) (rate(dsiem_deliveries_dropped_total[$__rate_interval]))"
            ),
            "lost {{reason}}": (
                "sum by (reason) (rate(dsiem_deliveries_lost_total[$__rate_interval]))"
            ),
            "cut by NATS": "sum(rate(dsiem_nats_events_cut_total[$__rate_interval]))",
            "expired in the stream": "sum(rate(dsiem_stream_expired_total[$__rate_interval]))",
        },
    ),
    (
        "Lag: from the frontend to a worker",
        "s",
        {
            f"p{part}": f"histogram_quantile(0.{part}, sum by (le) "
            "(rate(dsiem_event_lag_seconds_bucket[$__rate_interval])))"
            for part in (50, 99)
        },
    ),
    (
        "Processing of an event",
        "s",
        {
            "mean": "sum(rate(dsiem_event_processing_seconds_sum[$__rate_interval])) / "
            "sum(rate(dsiem_event_processing_seconds_count[$__rate_interval]))",
        },
    ),
    (
        "Fill level of queues",
        "percentunit",
        {"{{pod}} {{worker}}": "dsiem_queue_depth / (dsiem_queue_capacity > 0)"},
    ),
    ("Messages of the stream still to read", "short", {"{{pod}}": "dsiem_stream_lag"}),
    (
        "Alarm lines",
        "reqps",
        {
            "{{risk_class}}": (
                "sum by (risk_class) (rate(dsiem_alarms_written_total[$__rate_interval]))"
            )
        },
    ),
    ("Open backlogs", "short", {"{{pod}}": "dsiem_backlogs_active"}),
    (
        "Backlogs closed",
        "reqps",
        {"{{reason}}": "sum by (reason) (rate(dsiem_backlogs_closed_total[$__rate_interval]))"},
    ),
    (
        "Lookups",
        "reqps",
        {
            "{{source}} {{result}}": (
                "sum by (source, result) (rate(dsiem_lookups_total[$__rate_interval]))"
            )
        },
    ),
    (
        "Up (1) or down (0)",
        "short",
        {
            "{{pod}} worker {{worker}}": "dsiem_worker_up",
            "{{pod}} router": "dsiem_router_up",
            "{{pod}} connected": "dsiem_source_connected",
            "{{pod}} can write": "dsiem_output_writable",
        },
    ),
    (
        "Age of the last checkpoint",
        "s",
        {"{{pod}}": "time() - dsiem_checkpoint_last_timestamp_seconds"},
    ),
)
"""Title, unit, and queries by legend."""


def dashboard() -> dict[str, Any]:
    """The dashboard in the JSON model of Grafana."""
    return {
        "title": "Dsiem backend",
        "uid": "dsiem-backend",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource"}
                | {"query": "prometheus"}
            ]
        },
        "panels": [_panel(number, *panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, title: str, unit: str, queries: dict[str, str]) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    letters = count(ord("A"))
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {
            "x": column * _PANEL_WIDTH,
            "y": row * _PANEL_HEIGHT,
            "w": _PANEL_WIDTH,
            "h": _PANEL_HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(next(letters)), "expr": query, "legendFormat": legend}
            for legend, query in queries.items()
        ],
    }


def text() -> str:
    """The content of the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
