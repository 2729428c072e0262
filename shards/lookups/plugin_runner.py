"""Calls a plugin in a thread, and turns all that it does into an outcome."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.alarm import Hit
from shards.http_client import HttpClientError, TransportOptions
from shards.lookups.fetcher import Fetcher
from shards.lookups.limits import LookupLimits
from shards.lookups.plugins.api import BadReplyError, IntelPlugin, VulnPlugin
from shards.lookups.plugins.registry import create_plugin
from shards.lookups.source_config import LookupSource
from shards.lookups.terms import Term
from shards.safe_text import excerpt


class LookupAnswer(Struct, frozen=True):
    """The hits for a term, possibly none."""

    hits: tuple[Hit, ...]


class LookupFailure(Struct, frozen=True):
    """A lookup without an answer. `code`: for the counts; `why`: for the log, without secrets."""

    code: str
    why: str


LookupOutcome = LookupAnswer | LookupFailure


class PluginRunner:
    """Looks up one term at a time in one source; not thread-safe."""

    def __init__(
        self,
        source: LookupSource,
        limits: LookupLimits,
        transport: TransportOptions,
        stop: threading.Event,
    ) -> None:
        self._source = source
        self._limits = limits
        self._fetcher = Fetcher(limits, transport, stop)
        self._plugin: IntelPlugin | VulnPlugin | None = None

    def create_plugin(self) -> None:
        """Create the plugin before the first lookup; if that fails, each lookup tries again."""
        with suppress(BaseException):
            self._get_plugin()

    def look_up(self, term: Term) -> LookupOutcome:
        """Return the outcome for a term; whatever the plugin raises becomes a LookupFailure."""
        try:
            return self._validate(self._call_plugin(term))
        except HttpClientError as error:
            return LookupFailure(error.code, error.predicate)
        except BadReplyError as error:
            return LookupFailure(
                "bad_answer", excerpt(str(error).encode("utf-8", "backslashreplace"))
            )
        except (ValueError, RecursionError) as error:
            return LookupFailure("bad_answer", _describe(error))
        except OSError as error:
            return LookupFailure("connection", _describe(error))
        except BaseException as error:  # SystemExit too: the thread must go on
            return LookupFailure("plugin_error", _describe(error))

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()

    def _call_plugin(self, term: Term) -> Any:
        """Return what `check` returns, which may be anything."""
        plugin: Any = self._get_plugin()
        return plugin.check(term) if isinstance(term, str) else plugin.check(*term)

    def _get_plugin(self) -> IntelPlugin | VulnPlugin:
        if self._plugin is None:
            source = self._source
            self._plugin = create_plugin(source.kind, source.plugin, source.options, self._fetcher)
        return self._plugin

    def _validate(self, hits: Any) -> LookupAnswer:
        """Return an answer that can be written to the alarm file; raise BadReplyError if not."""
        if not isinstance(hits, list | tuple):
            raise BadReplyError("the plugin gave no list of hits")
        most_hits, most_characters = self._limits.answer_hits, self._limits.answer_characters
        if len(hits) > most_hits:
            raise BadReplyError(f"has {len(hits)} hits, may have {most_hits}")
        characters = sum(_validated_length(hit) for hit in hits)
        if characters > most_characters:
            raise BadReplyError(f"has hits of {characters} characters, may have {most_characters}")
        return LookupAnswer(tuple(hits))


def _validated_length(hit: Any) -> int:
    """Return the number of characters of a hit; raise BadReplyError if it is not a valid hit."""
    if type(hit) is not Hit:
        raise BadReplyError("the plugin gave a list with something that is no hit")
    texts = (hit.provider, hit.term, hit.result)
    if not all(type(text) is str for text in texts):
        raise BadReplyError("the plugin gave a hit with something that is no text")
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise BadReplyError("has a hit with half a character") from None
    return sum(map(len, texts))


def _describe(error: BaseException) -> str:
    """Return the type of an exception and where it was raised; its text may contain a secret."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return type(error).__name__
    return (
        f"{type(error).__name__} in {Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
    )
