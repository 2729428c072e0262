"""The profiles of Hypothesis, and numbers of examples scaled by the profile in use.

The profile "fast" is for `make test-fast`: a fifth of the examples. No profile has a deadline: a
slow or busy machine must not fail a test. EXAMPLES=50 in the environment multiplies the examples of
a full run by 50.
"""

import os

from hypothesis import settings

DEFAULT_EXAMPLES = 100
"""Of a test that sets no number, without a profile."""
FULL_PROFILE = "full"
FAST_PROFILE = "fast"

settings.register_profile(
    FULL_PROFILE,
    deadline=None,
    max_examples=DEFAULT_EXAMPLES * int(os.environ.get("EXAMPLES", "1")),
)
settings.register_profile(FAST_PROFILE, deadline=None, max_examples=DEFAULT_EXAMPLES // 5)


def examples(number: int) -> int:
    """The number of examples to run for one that asks for `number` of them in a full run."""
    return max(1, number * settings().max_examples // DEFAULT_EXAMPLES)
