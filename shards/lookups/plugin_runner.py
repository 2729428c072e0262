"""One thread's way of asking one source: whatever its plugin does, what comes of it is data.

What may live here: calling a plugin, and judging what it gives. What may not: when, and in
which thread. No exception comes out, and nothing that an alarm could not be written with.
"""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.alarm import Hit
from shards.http_client import HttpClientError, TransportOptions
from shards.lookups.fetcher import Fetcher
from shards.lookups.limits import LookupLimits
from shards.lookups.plugins.api import BadReplyError
from shards.lookups.plugins.registry import make_plugin
from shards.lookups.source_config import LookupSource
from shards.lookups.terms import Term
from shards.safe_text import excerpt


class LookupAnswer(Struct, frozen=True):
    """An answer: what was found, which may be nothing."""

    hits: tuple[Hit, ...]


class LookupFailure(Struct, frozen=True):
    """No answer: why, as a word to count by, and as words for the log that hold no secret."""

    code: str
    why: str


LookupOutcome = LookupAnswer | LookupFailure


class PluginRunner:
    """Asks one source, one term at a time; used by one thread."""

    def __init__(
        self,
        source: LookupSource,
        limits: LookupLimits,
        way: TransportOptions,
        stop: threading.Event,
    ) -> None:
        self._source = source
        self._limits = limits
        self._fetcher = Fetcher(limits, way, stop)
        self._plugin: Any = None

    def prepare(self) -> None:
        """Have the plugin ready; why there is none will be said when it is asked."""
        with suppress(BaseException):
            self._made()

    def ask(self, term: Term) -> LookupOutcome:
        """Return what came of it."""
        try:
            return self._judged(self._checked(term))
        except HttpClientError as broken:
            return LookupFailure(broken.code, broken.predicate)
        except BadReplyError as error:
            return LookupFailure(
                "bad_answer", excerpt(str(error).encode("utf-8", "backslashreplace"))
            )
        except (ValueError, RecursionError) as error:
            return LookupFailure("bad_answer", _place(error))
        except OSError as error:
            return LookupFailure("connection", _place(error))
        except BaseException as error:  # a plugin may do anything, and its thread has to go on
            return LookupFailure("plugin_error", _place(error))

    def close(self) -> None:
        """Let go of what it holds."""
        self._fetcher.close()

    def _checked(self, term: Term) -> Any:
        plugin = self._made()
        return plugin.check(term) if isinstance(term, str) else plugin.check(*term)

    def _made(self) -> Any:
        if self._plugin is None:
            source = self._source
            self._plugin = make_plugin(source.kind, source.plugin, source.options, self._fetcher)
        return self._plugin

    def _judged(self, hits: Any) -> LookupAnswer:
        if not isinstance(hits, list | tuple):
            raise BadReplyError("the plugin gave no list of hits")
        if len(hits) > self._limits.hits:
            raise BadReplyError(f"has {len(hits)} hits, may have {self._limits.hits}")
        length = sum(_length(hit) for hit in hits)
        if length > self._limits.text:
            raise BadReplyError(f"has hits of {length} characters, may have {self._limits.text}")
        return LookupAnswer(tuple(hits))


def _length(hit: Any) -> int:
    """Return how long a hit is, which has to be one that can be written."""
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


def _place(error: BaseException) -> str:
    """Return what an exception is, and where it came up; its text may hold a secret."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return type(error).__name__
    return (
        f"{type(error).__name__} in {Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
    )
