"""Which servers of the inventory a plan means."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate

from fleetos.errors import Problem
from fleetos.limits import CANDIDATES_LISTED, NAMES_COMPARED, PLAN_MAX_SERVERS
from fleetos.model.inventory import Inventory, Server
from fleetos.model.plan import Exclusion, Place, Plan, ServerRef
from fleetos.planning.merge import merged
from fleetos.planning.selectors import near_misses, selected


@dataclass(frozen=True, slots=True)
class Selection:
    """The servers that the plan means, in its order, each with what the plan says of it.

    `idle_exclusions` leave no server out. `selected` says how many servers each selector means, excluded ones
    included, by the place of the selector.
    """

    servers: tuple[tuple[Server, ServerRef], ...]
    problems: tuple[Problem, ...]
    idle_exclusions: tuple[Exclusion, ...]
    selected: Mapping[Place, int]


def select(plan: Plan, inventory: Inventory) -> Selection:
    """The servers of the inventory that the plan lists or selects and does not exclude.

    A server that is listed twice, by id and by name or by several selectors, is one server.
    """
    finder = _Finder(inventory)
    identified = ((server.id, ref) for ref in plan.servers for server in finder.find(ref))
    kept, contradictions = merged(identified)
    excluder = _Excluder(plan.exclude)
    meant = [(inventory.servers[str(server_id)], ref) for server_id, ref in kept.items()]
    chosen = tuple((server, ref) for server, ref in meant if not excluder.excludes(server))
    problems = [*finder.problems, *contradictions]
    if not chosen and not problems:
        problems.append(plan.place("exclude").problem("at least one server that is not excluded"))
    if len(chosen) > PLAN_MAX_SERVERS:
        expected = f"at most {PLAN_MAX_SERVERS} servers in a plan; the project has {len(chosen)} that it means"
        problems.append(plan.place("servers").problem(expected))
    return Selection(chosen, tuple(problems), tuple(excluder.idle()), finder.selected)


def selected_since(
    plan: Plan, inventory: Inventory, known: Collection[str], images: Mapping[str, str]
) -> tuple[Server, ...]:
    """The servers that a new run of the plan would change for a selector's sake, and that are not among the known ids.

    `images` are the pins of the plan's words for images; a server that runs its image already would be skipped.
    """
    found = select(replace(plan, servers=tuple(ref for ref in plan.servers if ref.select)), inventory).servers
    fresh = ((server, ref.change.over(plan.change)) for server, ref in found if server.id not in known)
    return tuple(server for server, change in fresh if images.get(change.image or "") not in server.picture.images)


class _Finder:
    def __init__(self, inventory: Inventory) -> None:
        self.problems: list[Problem] = []
        self.selected: dict[Place, int] = {}
        self._by_id = inventory.servers
        self._by_name: dict[str, list[Server]] = {}
        for server in inventory.servers.values():
            self._by_name.setdefault(server.name, []).append(server)
        self._compared = 0
        self._unidentified = inventory.unidentified

    def find(self, ref: ServerRef) -> Sequence[Server]:
        """The servers that the entry means, or none with a problem."""
        if ref.select is None:
            server = self._one(ref)
            return () if server is None else (server,)
        servers = tuple(self._by_id.values())
        found = selected(ref.select, servers)
        self.selected[ref.place] = len(found)
        if not found:
            self.problems.append(near_misses(ref.select, ref.place, servers))
        return found

    def _one(self, ref: ServerRef) -> Server | None:
        if ref.id is not None:
            server = self._by_id.get(ref.id)
            if server is None:
                expected = f"the id of a server of the project; {ref.id} is none"
                self.problems.append(ref.place.problem(expected, self._unread()))
            return server
        name = ref.name or ""
        candidates = self._by_name.get(name, [])
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            expected = f"a name that exactly one server has; {len(candidates)} are called {name}"
            self.problems.append(ref.place.problem(expected, f"use an id: {_listed(candidates)}"))
        else:
            expected = f"the name of a server of the project; none is called {name}"
            self.problems.append(ref.place.problem(expected, self._unread() or self._near(name)))
        return None

    def _unread(self) -> str | None:
        if not self._unidentified:
            return None
        more = len(self._unidentified) - CANDIDATES_LISTED
        named = ", ".join(self._unidentified[:CANDIDATES_LISTED]) + (f" and {more:,} more" if more > 0 else "")
        return f"the list of servers shows some whose ids cannot be read: {named}"

    def _near(self, name: str) -> str | None:
        if name.lower() in self._by_id:
            return "this is an id: write `id:`"
        self._compared += 1
        if self._compared > NAMES_COMPARED:
            return None
        near = difflib.get_close_matches(name, self._by_name, n=1, cutoff=0.8)
        return f"did you mean {near[0]}?" if near else None


def _listed(candidates: Sequence[Server]) -> str:
    shown = [
        f"{server.id} ({', '.join(part for part in (server.picture.status, server.az) if part)})"
        for server in candidates[:CANDIDATES_LISTED]
    ]
    more = len(candidates) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


class _Excluder:
    def __init__(self, exclusions: Sequence[Exclusion]) -> None:
        self._exclusions = exclusions
        self._globs = [(one, re.compile(translate(one.name))) for one in exclusions if one.name is not None]
        self._ids = {one.id for one in exclusions if one.id is not None}
        self._used: set[Place] = set()

    def excludes(self, server: Server) -> bool:
        """Whether the server is left out."""
        by_id = server.id in self._ids
        matching = [one for one, glob in self._globs if glob.match(server.name)]
        self._used |= {one.place for one in matching}
        if by_id:
            self._used |= {one.place for one in self._exclusions if one.id == server.id}
        return by_id or bool(matching)

    def idle(self) -> Iterator[Exclusion]:
        """The exclusions that left no server out."""
        return (one for one in self._exclusions if one.place not in self._used)
