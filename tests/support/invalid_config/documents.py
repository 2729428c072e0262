"""Broken documents of every kind: their form, their JSON, and the sources of lookups."""

import json

from tests.support.invalid_config.build import MARK, Case, directive, directives, document, source
from tests.support.invalid_config.words import SOURCE, TEXT

_FILES = {
    "directives": "directives_x.json",
    "assets": "assets_x.json",
    "intel_sources": "intel_x.json",
    "vuln_sources": "vuln_x.json",
}
_SOURCE_KEYS = ("intel_sources", "vuln_sources")
_CONFIGS = ("{", "[]", "5", '{"url": 5}', '{"url": "ftp://x"}', "{}", "NaN", '{"URL": "http://x"}')


def _shape(key: str, marked: str, line: str) -> Case:
    return Case(f"document: {key} {marked}", marked, [line], _FILES[key])


def _source(key: str, name: str, marked: str, *lines: str) -> Case:
    return Case(f"{key}: {name}", document(key, marked), list(lines), _FILES[key])


def _config(key: str, config: str) -> Case:
    text = json.dumps(config)
    line = f"bad-source - - config: is the text {text}, {SOURCE}"
    return _source(key, f"config {config}", source(config=MARK + text), line)


def _syntax(name: str, marked: str, message: str) -> Case:
    return Case(f"syntax: {name}", marked, [f"bad-json - - -: {message}"])


SHAPES = [
    *(
        _shape(
            key,
            MARK + text,
            f'wrong-type - - -: is {shown}, must be an object {{"{key}": […]}}',
        )
        for key in _FILES
        for text, shown in {"[]": "a list", "null": "null", "5": "5"}.items()
    ),
    *(
        _shape(key, text, f'missing - - {key}: is missing, must be a list: {{"{key}": […]}}')
        for key in _FILES
        for text in ("§{}", f'§{{"{key}": null}}', '§{"other": []}')
    ),
    *(
        _shape(key, f'{{"{key}": §{text}}}', f"wrong-type - - {key}: is {shown}, must be a list")
        for key in _FILES
        for text, shown in {"{}": "an object", "true": "true", '"x"': 'the text "x"'}.items()
    ),
]
SOURCES = [
    *(
        _source(
            key,
            f"no {name}",
            MARK + source(**{name: None}),
            f"missing - - {name}: is missing, {TEXT}",
        )
        for key in _SOURCE_KEYS
        for name in ("name", "plugin", "config")
    ),
    *(
        _source(
            key,
            f"empty {name}",
            source(**{name: '§""'}),
            f"empty - - {name}: is empty, {TEXT}",
        )
        for key in _SOURCE_KEYS
        for name in ("name", "plugin", "config")
    ),
    *(
        _source(
            key,
            "type and enabled of a wrong type",
            source(type="§5", enabled='§"true"'),
            "wrong-type - - type: is 5, must be a text",
            'wrong-type - - enabled: is the text "true", must be true or false',
        )
        for key in _SOURCE_KEYS
    ),
    *(
        _source(
            key,
            "config that is no text",
            source(config='§{"url": "http://x"}'),
            f"wrong-type - - config: is an object, {TEXT}",
        )
        for key in _SOURCE_KEYS
    ),
    *(
        _source(
            key,
            "unknown enable",
            source(enable="§true"),
            "warning/unknown-field - - enable: is not a known field, and is ignored; "
            "the nearest known one is enabled",
        )
        for key in _SOURCE_KEYS
    ),
    *(_config(key, config) for key in _SOURCE_KEYS for config in _CONFIGS),
    *(
        _source(key, "no object", "§7", "wrong-type - - -: is 7, must be an object")
        for key in _SOURCE_KEYS
    ),
]

_GOOD = directives(directive())
_NAME = '"name": "d",'
_BEFORE_NAME = _GOOD[: _GOOD.index(_NAME)]

SYNTAX = [
    _syntax("nothing", "§", "is empty, must be a JSON object"),
    _syntax("no value", _BEFORE_NAME + '"name": §,', "is not JSON: expecting value"),
    _syntax(
        "no comma",
        _GOOD.replace(_NAME, '"name": "d" §"x": 1,'),
        "is not JSON: expecting ',' delimiter",
    ),
    _syntax("more behind it", _GOOD + "§]", "is not JSON: extra data"),
    _syntax("NaN", _GOOD.replace(_NAME, '"name": §NaN,'), "is not JSON: invalid character"),
    _syntax("an escape", _GOOD.replace(_NAME, '"name": "§\\x",'), "is not JSON: invalid \\escape"),
    _syntax(
        "half a character",
        _GOOD.replace(_NAME, '"name": "§\\ud800",'),
        "holds half a character (a lone \\u surrogate), must be whole characters",
    ),
]

CASES = [*SHAPES, *SOURCES, *SYNTAX]
