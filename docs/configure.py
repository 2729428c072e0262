"""Makes configure.md: `python docs/configure.py`. Every setting is in it because it is in the code.

May live here: the words around the tables. What may not: settings (shards/settings.py). A test
compares.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from shards.settings.schema import Setting
from shards.settings.settings import settings_of

FILE = Path(__file__).with_name("configure.md")
_BEFORE = """\
# Settings of `serve`

Every setting is a flag, an environment variable and a key of a settings file (`--settings FILE`, a
setting a line, like `log-dir: /var/log/dsiem`), in this order of precedence. An empty variable is
unset. Switches take `true`, `false`, `t`, `f`, `1`, `0` in any case; on the command line `--x`,
`--no-x` and `--x false`. Lists are split at commas. `--max-delay` is also `--max_delay` and
`--maxDelay`, and so are all others.

```
dsiem-backend serve --check        # all of them, and where each comes from; is the config valid?
```

Without `--mode` it is `cluster-backend` when frontend, node or msq are given, else `standalone`.
Variables of Dsiem for what is not here (`DSIEM_APM`, `DSIEM_PPROF`, `DSIEM_WEBSOCKET`, …) are
warned of once. `replay` and `validate` take those of these that concern them, see `--help`.

This page is made by `python docs/configure.py`.
"""


def text() -> str:
    """The page."""
    return _BEFORE + "".join(_groups()) + "\n"


def _groups() -> Iterator[str]:
    group = ""
    for row in settings_of("serve"):
        if row.spec.group != group:
            group = row.spec.group
            yield f"\n## {group}\n\n| flag | variable | default | |\n| --- | --- | --- | --- |\n"
        yield f"| `{_flags(row)}` | `{row.env}` | {_default(row)} | {_about(row)} |\n"


def _flags(row: Setting) -> str:
    return f"{row.spec.short}, {row.flag}" if row.spec.short else row.flag


def _default(row: Setting) -> str:
    if row.name == "workers":
        return "CPUs - 1"  # those of whoever reads it
    value = ",".join(row.default) if isinstance(row.default, tuple) else row.default
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if str(value) else ""


def _about(row: Setting) -> str:
    choices = f": {', '.join(row.choices)}" if row.choices else ""
    return f"{row.spec.help}{choices}".replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
