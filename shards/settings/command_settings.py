"""The settings of commands for people: what they read, show and write.

Apart from settings.py, so that either file can be read at one sitting.
"""

from typing import Annotated, Literal

from shards.settings.schema import (
    CONVERT,
    EVERY_COMMAND,
    RECORDINGS,
    REPLAY,
    TOP,
    URL,
    VALIDATE,
    Spec,
)
from shards.settings.service_settings import ServiceSettings

FORMATS_OF = (
    ("validate", ("text", "json", "github", "sarif", "junit")),
    ("test", ("text", "json", "github")),
    ("diff", ("text", "json", "markdown")),
)
"""The output formats of commands that have more than text and json."""


class CommandSettings(ServiceSettings, frozen=True, kw_only=True):
    """The settings of the group `output`, and of what is selected for it."""

    check: Annotated[
        bool, Spec("output", "show the settings, check the config folder, and exit")
    ] = False
    format: Annotated[
        Literal["text", "json", "github", "sarif", "junit", "markdown"],
        Spec(
            "output",
            "output for people or for programs",
            EVERY_COMMAND,
            choices_of=FORMATS_OF,
            other_choices=("text", "json"),
        ),
    ] = "text"
    all: Annotated[
        bool, Spec("output", "list all problems, not only 1,000", VALIDATE | CONVERT)
    ] = False
    alarms: Annotated[bool, Spec("output", "show the alarms as a table at the end", REPLAY)] = False
    sort: Annotated[
        bool, Spec("output", "sort the events by time first, in temporary files", RECORDINGS)
    ] = False
    url: Annotated[
        str,
        Spec(
            "output",
            "URL of the service's status, see --ops-port",
            TOP,
            pattern=URL,
            expected="a URL like http://127.0.0.1:9090",
        ),
    ] = "http://127.0.0.1:9090"
    once: Annotated[bool, Spec("output", "show the status once and exit", TOP)] = False
