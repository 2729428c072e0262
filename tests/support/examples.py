"""Numbers of Hypothesis examples, scaled by the profile in use.

The profile "fast" is for `make test-fast`: a fifth of the examples.
"""

from hypothesis import settings

DEFAULT_EXAMPLES = 100
"""Of a test that sets no number, without a profile."""
FAST_PROFILE = "fast"

settings.register_profile(FAST_PROFILE, max_examples=DEFAULT_EXAMPLES // 5)


def examples(number: int) -> int:
    """The number of examples to run for one that asks for `number` of them in a full run."""
    return max(1, number * settings().max_examples // DEFAULT_EXAMPLES)
