"""What holds for every run of the tests: nothing that was collected is looked at as garbage."""

import gc
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Collects with the garbage collector at rest; what came of it lives to the end and is kept out of its way."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
