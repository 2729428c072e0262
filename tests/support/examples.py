"""The profiles of Hypothesis, and numbers of examples scaled by the profile in use.

The profile "thorough" is for `--hypothesis-profile=thorough`: all examples. The profile "usual" is
for each change: a third of them. The profile "fast" is for `make test-fast`: a fifth. No profile
has a deadline: a slow or busy machine must not fail a test.
"""

from collections.abc import Sequence
from random import Random

from hypothesis import settings

DEFAULT_EXAMPLES = 100
"""Of a test that sets no number, in a thorough run."""
USUAL_PROFILE = "usual"
FAST_PROFILE = "fast"

settings.register_profile("thorough", deadline=None, max_examples=DEFAULT_EXAMPLES)
settings.register_profile(USUAL_PROFILE, deadline=None, max_examples=DEFAULT_EXAMPLES // 3)
settings.register_profile(FAST_PROFILE, deadline=None, max_examples=DEFAULT_EXAMPLES // 5)


def examples(number: int) -> int:
    """The number of examples to run for one that asks for `number` of them in a thorough run."""
    return max(1, number * settings().max_examples // DEFAULT_EXAMPLES)


def some_of(cases: Sequence[int], seed: object) -> list[int]:
    """All cases in a thorough run, else as large a share of them as of examples; `seed`: which."""
    return sorted(Random(repr(seed)).sample(cases, examples(len(cases))))
