"""The settings of commands for people: what they read, show and write.

Apart from settings.py, so that either file can be read at one sitting.
"""

from typing import Annotated, Literal

from shards.settings.elasticsearch_settings import ElasticsearchSettings
from shards.settings.schema import (
    CHECKING,
    CONVERT,
    DEMO,
    DIFF,
    EXPLAIN,
    RECORDINGS,
    REPLAY,
    STATS,
    TEST,
    TOP,
    URL,
    VALIDATE,
    Spec,
)

FORMATS_OF = (
    ("validate", ("text", "json", "github", "sarif", "junit")),
    ("test", ("text", "json", "github")),
    ("diff", ("text", "json", "markdown")),
)
"""The output formats of commands that have more than text and json."""


class CommandSettings(ElasticsearchSettings, frozen=True, kw_only=True):
    """The settings of the group `output`, and of what is selected for it."""

    check: Annotated[
        bool, Spec("output", "show the settings, check the config folder, and exit")
    ] = False
    format: Annotated[
        Literal["text", "json", "github", "sarif", "junit", "markdown"],
        Spec(
            "output",
            "output for people or for programs",
            CHECKING | TOP | CONVERT,
            choices_of=FORMATS_OF,
            other_choices=("text", "json"),
        ),
    ] = "text"
    all: Annotated[
        bool, Spec("output", "list all, not only the first ones", VALIDATE | CONVERT | DIFF | STATS)
    ] = False
    fail_on: Annotated[
        tuple[Literal["new", "gone", "changed"], ...],
        Spec("output", "exit with 1 if there are such alarms", DIFF),
    ] = ()
    ignore: Annotated[
        tuple[str, ...],
        Spec("output", "codes of warnings and lints to ignore, see docs/lints.md", VALIDATE),
    ] = ()
    portable: Annotated[
        bool, Spec("output", "warn of what other Dsiem backends do not have", VALIDATE)
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
    once: Annotated[
        bool, Spec("output", "show the status, or one day of the demo, and exit", TOP | DEMO)
    ] = False
    demo_dir: Annotated[
        str,
        Spec("files", "folder for the files of the demo, empty is temporary", DEMO, path="folder"),
    ] = ""

    directive: Annotated[
        tuple[str, ...],
        Spec(
            "selection", "ids of the directives to explain, or to record a test of", EXPLAIN | TEST
        ),
    ] = ()
    event: Annotated[
        tuple[str, ...], Spec("selection", "ids of the events to show one by one", EXPLAIN)
    ] = ()
    keyword: Annotated[
        str, Spec("selection", "run only tests with this text in their name", TEST, "-k")
    ] = ""
    fail_fast: Annotated[bool, Spec("selection", "stop after the first failure", TEST)] = False
    record: Annotated[
        str,
        Spec(
            "output",
            "write a test of --directive from this file of recorded events; with --elasticsearch"
            " the file is made first",
            TEST,
        ),
    ] = ""
    junit: Annotated[
        str, Spec("output", "file to write a JUnit report to, beside the other output", TEST)
    ] = ""
    coverage: Annotated[
        bool, Spec("output", "show the stages and conditions that no test covers", TEST)
    ] = False
    fail_under: Annotated[
        int,
        Spec("output", "percentage of stages that tests must finish at least", TEST, high=100),
    ] = 0
