"""Checks of the settings of Elasticsearch beyond a single value.

Apart from validation.py, so that either file can be read at one sitting.
"""

import json
import re
from collections.abc import Mapping

from shards.settings.schema import Origin, Setting, UsageError, parse_time
from shards.settings.settings import SETTINGS_TABLE, Settings

_RELATIVE_TIME = re.compile(r"now(([+-][0-9]{0,9}|/)[yMwdhHms]){0,9}")
"""Date math of Elasticsearch."""


def check_elasticsearch(settings: Settings, origins: Mapping[str, Origin]) -> None:
    """Check all of them, if events are read from there; UsageError."""
    if not settings.elasticsearch:
        _check_unused(origins)
        return
    if "@" in settings.elasticsearch:
        raise UsageError(
            "--elasticsearch has a login, should be a URL without one: lists of processes show it;"
            " DSIEM_ELASTICSEARCH_USERNAME and DSIEM_ELASTICSEARCH_PASSWORD are for it"
        )
    if "record" in origins and not settings.record and origins["elasticsearch"].kind == "flag":
        raise UsageError("--elasticsearch is for --record: tests do not read events from a server")
    for setting in SETTINGS_TABLE.values():
        text = getattr(settings, setting.name)
        if text and setting.spec.group == "Elasticsearch":
            name = origins[setting.name].name_of(setting)
            _check_text(setting, text, name)
    _check_login(settings)


def _check_unused(origins: Mapping[str, Origin]) -> None:
    """Check that no flag selects events of a server: it would do nothing, as if it were obeyed."""
    for setting in SETTINGS_TABLE.values():
        is_flag = origins.get(setting.name, Origin()).kind == "flag"
        if is_flag and setting.spec.group == "Elasticsearch" and setting.name != "elasticsearch":
            raise UsageError(
                f"{setting.flag} is for events that are read from --elasticsearch, which is not"
                " given"
            )


def _check_text(setting: Setting, text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # bytes of the command line that are no UTF-8
        raise UsageError(f"{name} is not UTF-8") from error
    if setting.name in ("from_", "to") and not _RELATIVE_TIME.fullmatch(text):
        try:
            parse_time(text)
        except ValueError as error:
            expected = setting.spec.expected
            raise UsageError(f"{name} is {text!r}, should be {expected}: {error}") from error
    if setting.name == "query" and text.startswith("{"):
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name} begins with {{, and is no JSON: {error}") from error


def _check_login(settings: Settings) -> None:
    if settings.elasticsearch_api_key and settings.elasticsearch_username:
        raise UsageError(
            "DSIEM_ELASTICSEARCH_API_KEY and DSIEM_ELASTICSEARCH_USERNAME are both given, should be"
            " one of them"
        )
    if bool(settings.elasticsearch_username) != bool(settings.elasticsearch_password):
        raise UsageError(
            "DSIEM_ELASTICSEARCH_USERNAME and DSIEM_ELASTICSEARCH_PASSWORD are one without the"
            " other, should be both"
        )
