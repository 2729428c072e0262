"""The settings of commands that read recorded events from Elasticsearch or OpenSearch.

Apart from command_settings.py, so that either file can be read at one sitting.
"""

from typing import Annotated

from shards.settings.schema import OPTIONAL_URL, RECORDINGS, TEST, Spec, url_spec
from shards.settings.service_settings import ServiceSettings

_GROUP = "Elasticsearch"
_READERS = RECORDINGS | TEST
_TIME = "an ISO 8601 time like 2026-01-31T12:00:00Z, or a relative one like now-30d"


class ElasticsearchSettings(ServiceSettings, frozen=True, kw_only=True):
    """The settings of the group `Elasticsearch`: which documents are read, and from where."""

    elasticsearch: Annotated[
        str,
        url_spec(
            _GROUP,
            "URL of Elasticsearch or OpenSearch, to read events from there and not from files; "
            "login: DSIEM_ELASTICSEARCH_USERNAME and _PASSWORD, or DSIEM_ELASTICSEARCH_API_KEY",
            "https://elasticsearch:9200",
            pattern=OPTIONAL_URL,
            commands=_READERS,
        ),
    ] = ""
    index: Annotated[
        str,
        Spec(
            _GROUP,
            "indices, data streams or aliases with the events, as Elasticsearch takes them",
            _READERS,
            env="ELASTICSEARCH_INDEX",
            pattern=r"(?!\.{1,2}$)[^\s/\\?#\"<>|]+",
            expected="names of indices, like siem_events-2026.01.*",
        ),
    ] = "siem_events*"
    from_: Annotated[
        str,
        Spec(
            _GROUP,
            "earliest time of events, ISO 8601 or like now-30d; empty is the first event",
            _READERS,
            env="ELASTICSEARCH_FROM",
            expected=_TIME,
        ),
    ] = ""
    to: Annotated[
        str,
        Spec(
            _GROUP,
            "time before which events are, ISO 8601 or like now-1d/d; empty is the last event",
            _READERS,
            env="ELASTICSEARCH_TO",
            expected=_TIME,
        ),
    ] = ""
    query: Annotated[
        str,
        Spec(
            _GROUP,
            "events to read: a Lucene query, or a query in JSON that begins with {",
            _READERS,
            env="ELASTICSEARCH_QUERY",
        ),
    ] = ""
    time_field: Annotated[
        str,
        Spec(
            _GROUP,
            "date field that --from and --to are about, and that documents are sorted by",
            _READERS,
            env="ELASTICSEARCH_TIME_FIELD",
            pattern=r"\S+",
            expected="the name of a date field",
        ),
    ] = "@timestamp"
    elasticsearch_ca: Annotated[
        str, Spec(_GROUP, "file with the CA certificates for https", _READERS, path="file")
    ] = ""
    elasticsearch_username: Annotated[
        str, Spec(_GROUP, "user of Elasticsearch", _READERS, variable_only=True)
    ] = ""
    elasticsearch_password: Annotated[
        str,
        Spec(_GROUP, "password of the user", _READERS, secret="all", variable_only=True),
    ] = ""
    elasticsearch_api_key: Annotated[
        str,
        Spec(
            _GROUP,
            "API key, encoded or as id:key, instead of a user",
            _READERS,
            secret="all",
            pattern=r"[!-~]*",
            expected="visible ASCII characters, no blanks or line ends",
            variable_only=True,
        ),
    ] = ""
