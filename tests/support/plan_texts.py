"""Plans in text, with paces that fit a test."""

from collections.abc import Iterable

PACE = """
polling: {min: 100ms, max: 400ms}
timeouts: {stop: 1m, change: 1m, settle: 3s, start: 1m}
"""


def plan(
    servers: Iterable[str],
    *,
    image: str = "Standard_Debian_12_latest",
    concurrency: int = 20,
    attempts: int = 3,
    rollout: str = "",
    pace: str = PACE,
) -> str:
    """A plan that names these servers."""
    named = "\n".join(f"  - name: {name}" for name in servers)
    return f"""version: 1
name: a-test-rollout
change:
  image: {image}
  keyname: KeyPair-350b
servers:
{named}
rollout:
  concurrency: {concurrency}
{rollout}
failure: {{attempts: {attempts}, backoff: 300ms}}
{pace}
"""
