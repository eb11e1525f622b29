"""The first plays that broke something, shrunk, each in a process of its own and for a bounded time."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.simulation.proof import Found, Judge, Orders, broken_by, first_spec
from tests.simulation.replay import dying
from tests.simulation.shrink import shrink, size
from tests.simulation.spec import Spec
from tests.simulation.spec_file import described, from_json, to_json
from tests.simulation.summary import Shrunk
from tests.simulation.workers import NOT_SHRUNK, last_word

SHRUNK_MAX = 3


def shrunk(found: Mapping[str, list[Found]], orders: Orders, limit_s: float) -> list[Shrunk]:
    """Return what is left of the first play of each of the first invariants, after so many seconds each."""
    firsts = [plays[0] for invariant, plays in found.items() if plays and invariant not in NOT_SHRUNK]
    folder = Path(tempfile.mkdtemp(prefix="fleetos-simulation-")) if firsts else Path()
    return [_shrunk(one, orders, limit_s, folder) for one in firsts[:SHRUNK_MAX]]


def smaller(found: Found, orders: Orders) -> Iterator[str]:
    """Yield as JSON the spec that broke it, if it does so again, and then ever smaller ones."""
    spec = played(found, orders)
    if breaks(spec, found.invariant, orders.judged):
        yield to_json(spec)
        for one in shrink(spec, lambda spec: breaks(spec, found.invariant, orders.judged)):
            yield to_json(one)


def played(found: Found, orders: Orders) -> Spec:
    """Return the spec of the play in which it was found."""
    return dying(first_spec(orders.world(found.seed), orders), found.die)


def breaks(spec: Spec, invariant: str, judge: Judge) -> bool:
    """Return whether a play of the spec breaks the invariant."""
    return any(violation.invariant == invariant for violation in broken_by(spec, judge))


def _shrunk(found: Found, orders: Orders, limit_s: float, folder: Path) -> Shrunk:
    text = last_word(smaller, (found, orders), limit_s)
    if not isinstance(text, str):
        return Shrunk(found, None)
    path = folder / f"{found.invariant.replace(' ', '-')}-seed-{found.seed}.json"
    path.write_text(text, encoding="utf-8")
    spec = from_json(text)
    return Shrunk(found, str(path), tuple(described(spec)), size(spec), size(played(found, orders)))
