"""What both HTTP servers read of a request; their own tests have the rest."""

import pytest

from shards.http_request import check_length
from shards.http_server import RequestRefusedError


def test_a_body_may_have_the_longest_length_and_no_more() -> None:
    check_length(10, 10)
    with pytest.raises(RequestRefusedError, match="10 bytes"):
        check_length(11, 10)
