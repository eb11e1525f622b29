"""Every test says by which seed it was drawn."""

import pytest

from tests.support.seeded_examples import SEED


@pytest.fixture(autouse=True)
def printed_seed() -> None:
    print(f"FLEETOS_TEST_SEED={SEED}")
