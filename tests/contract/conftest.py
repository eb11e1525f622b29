"""What is proven of the wire holds on both event loops that fleetos runs on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

_BOTH = frozenset({"test_transport_proof", "test_transport_wire"})


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loops that a test runs on, one after the other."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in _BOTH:
        factories["uvloop"] = uvloop.new_event_loop
    return factories
