"""The profiles of Hypothesis, and numbers of examples scaled by the profile in use.

The profile "thorough" is for `--hypothesis-profile=thorough`: all examples, and EXAMPLES=50 in the
environment multiplies them. The profile "usual" is
for each change: a third of them. The profile "fast" is for `make test-fast`: a fifth. No profile
has a deadline: a slow or busy machine must not fail a test.
"""

import os
from collections.abc import Sequence
from random import Random

from hypothesis import settings

DEFAULT_EXAMPLES = 100
"""Of a test that sets no number, in a thorough run."""
USUAL_PROFILE = "usual"
FAST_PROFILE = "fast"

_FACTOR = int(os.environ.get("EXAMPLES", "1"))

settings.register_profile("thorough", deadline=None, max_examples=DEFAULT_EXAMPLES * _FACTOR)
settings.register_profile(USUAL_PROFILE, deadline=None, max_examples=DEFAULT_EXAMPLES // 3)
settings.register_profile(FAST_PROFILE, deadline=None, max_examples=DEFAULT_EXAMPLES // 5)


def examples(number: int) -> int:
    """The number of examples to run for one that asks for `number` of them in a thorough run."""
    return max(1, number * settings().max_examples // DEFAULT_EXAMPLES)


def some_of(cases: Sequence[int], seed: object) -> list[int]:
    """All cases in a thorough run, else as large a share of them as of examples; `seed`: which."""
    number = min(len(cases), examples(len(cases)))
    return sorted(Random(repr(seed)).sample(cases, number))
