"""How tests of any input draw: so many examples, from a seed that is printed; FLEETOS_TEST_SEED repeats it.

FLEETOS_TEST_EXAMPLES multiplies the examples; the check of a commit sets it.
"""

import os
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings

Test = TypeVar("Test", bound=Callable[..., Any])

SEED = int(os.environ.get("FLEETOS_TEST_SEED") or secrets.randbelow(10**6))
EXAMPLES_FACTOR = int(os.environ.get("FLEETOS_TEST_EXAMPLES") or 1)
# What was found once is repeated by its seed, so nothing is kept between two calls. Slow machines are no failure.
_SETTINGS = settings(
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
)


def examples(count: int) -> Callable[[Test], Test]:
    """The test, run with so many examples, or as many times more as FLEETOS_TEST_EXAMPLES says."""

    def drawn(test: Test) -> Test:
        return seed(SEED)(settings(_SETTINGS, max_examples=count * EXAMPLES_FACTOR)(test))

    return drawn
