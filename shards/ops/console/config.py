"""The effective configuration: settings with their sources, the last reload, and reloading."""

import asyncio
from typing import Any

from aiohttp import web

from shards.http_server import RequestRefusedError, json_response
from shards.ops.console.backend import ConsoleBackend
from shards.ops.console.excerpts import with_excerpts
from shards.ops.console.parameters import Parameters
from shards.ops.overview import Overview
from shards.ops.reload_outcome import ReloadOutcome
from shards.settings.schema import Origin, Setting, format_value
from shards.settings.settings import settings_of

MAX_PROBLEMS = 200
"""Problems of a reload that are shown."""
_TRIGGERS = {"SIGHUP": "signal", "POST /reload": "request", "frontend-poll": "frontend"}


class ConfigHandlers:
    """Answers requests for the configuration, and reloads it."""

    def __init__(self, backend: ConsoleBackend) -> None:
        self._backend = backend

    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/config."""
        Parameters(request)
        return json_response(200, await self._document(self._backend.overview()))

    async def _document(self, overview: Overview) -> dict[str, Any]:
        settings = self._backend.settings
        reload, files = overview.last_reload, overview.config_files
        return {
            "version": overview.version,
            "generation": overview.config_generation,
            "loaded_time": overview.config_loaded_at,
            "hash": overview.config_hash,
            "folder": str(settings.config_dir.absolute()),
            "directives": overview.directives,
            "rejected": overview.rejected_directives,
            "assets": sum(number for kind, number in files.values() if kind == "assets"),
            "files": [
                {"name": name, "kind": kind, "items": number}
                for name, (kind, number) in sorted(files.items())
            ],
            "settings": [self._setting(setting) for setting in settings_of("serve")],
            "trouble": overview.config_trouble,
            "can_reload": self._backend.reload is not None,
            "last_reload": await asyncio.to_thread(self._reload_document, reload)
            if reload
            else None,
        }

    def _setting(self, setting: Setting) -> dict[str, Any]:
        origin = self._backend.origins.get(setting.name, Origin())
        return {
            "name": setting.name,
            "flag": setting.flag,
            "variable": setting.env,
            "group": setting.spec.group,
            "help": setting.spec.help,
            "value": _shown(self._backend.settings.redacted(setting.name)),
            "default": _shown(setting.spec.redact(setting.default)),
            "source": origin.kind,
            "place": origin.where,
        }

    async def reload(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /api/v1/reload."""
        if self._backend.reload is None:
            raise RequestRefusedError(503, "this service cannot reload its configuration")
        if request.can_read_body:
            raise RequestRefusedError(400, "a reload takes no body")
        outcome = await self._backend.reload()
        document = await asyncio.to_thread(self._reload_document, outcome)
        if outcome.successful:
            return json_response(200, document)
        return json_response(503 if outcome.error else 422, document)

    def _reload_document(self, outcome: ReloadOutcome) -> dict[str, Any]:
        folder = self._backend.settings.config_dir
        document = reload_document(outcome)
        return document | {"problems": with_excerpts(document["problems"], folder)}


def reload_document(outcome: ReloadOutcome) -> dict[str, Any]:
    """What became of a reload, for the page."""
    changes = outcome.changes
    results = {"changed": "applied", "unchanged": "unchanged", "failed": "refused"}
    return {
        "outcome": results[outcome.result],
        "time": outcome.at,
        "milliseconds": outcome.milliseconds,
        "generation": outcome.generation,
        "trigger": _TRIGGERS.get(outcome.trigger, outcome.trigger),
        "added": len(changes.added),
        "changed": len(changes.changed),
        "removed": len(changes.removed),
        "unchanged": changes.unchanged,
        "assets_changed": changes.assets,
        "problems": outcome.problems[:MAX_PROBLEMS],
        "problems_omitted": max(0, len(outcome.problems) - MAX_PROBLEMS),
        "unlisted": outcome.unlisted,
        "error": outcome.error,
    }


def _shown(value: Any) -> Any:
    """A value of a setting as JSON can hold it."""
    return value if isinstance(value, bool | int) else format_value(value)
