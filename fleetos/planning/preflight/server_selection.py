"""Which servers of the inventory a plan means."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate

from fleetos.errors import Problem
from fleetos.limits import CANDIDATES_LISTED, NAMES_COMPARED, PLAN_MAX_SERVERS
from fleetos.model.inventory import Inventory, Server
from fleetos.model.plan import AllowedServer, Exclusion, Plan, ServerRef, SourcePosition
from fleetos.names import Suggestions, look, shown
from fleetos.planning.plan_file.duplicates import merged
from fleetos.planning.plan_file.value_types import is_glob
from fleetos.planning.preflight.selectors import lasting, near_misses, selected
from fleetos.text import and_more, join_some


@dataclass(frozen=True, slots=True)
class Idle:
    """An exclusion that leaves no server out; `hint`: what it may have been meant to match."""

    exclusion: Exclusion
    hint: str | None


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A server that the plan means and whose name looks like that of one that is excluded by name."""

    server: Server
    excluded: str


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An entry that matches no server that the plan does not exclude, and the problem that this is.

    `before`: the servers that it may have matched before they were changed. Where they run their image already, all
    is done and there is no problem.
    """

    ref: ServerRef
    problem: Problem
    before: tuple[Server, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The servers that the plan means, in its order, each with what the plan says of it.

    `selected` says how many servers each selector means, excluded ones included, by the place of the selector.
    `allowed` are the ids of the servers that may be changed although they belong to another service.
    """

    servers: tuple[tuple[Server, ServerRef], ...]
    problems: tuple[Problem, ...]
    unmatched: tuple[Unmatched, ...]
    idle_exclusions: tuple[Idle, ...]
    look_alikes: tuple[LookAlike, ...]
    selected: Mapping[SourcePosition, int]
    allowed: frozenset[str] = frozenset()


def select(plan: Plan, inventory: Inventory) -> Selection:
    """The servers of the inventory that the plan lists or selects and does not exclude.

    A server that is listed twice, by id and by name or by several selectors, is one server. An exclusion by id or exact
    name that no server of the project has is a problem: whoever it was to spare would be changed.
    """
    finder = _Finder(inventory)
    identified = ((server.id, ref) for ref in plan.servers for server in finder.find(ref))
    kept, contradictions = merged(identified)
    excluder = _Excluder(plan.exclude)
    meant = [(inventory.servers[str(server_id)], ref) for server_id, ref in kept.items()]
    chosen = tuple((server, ref) for server, ref in meant if not excluder.excludes(server))
    allowed = frozenset(finder.allowed(plan.allow_managed))
    problems = [*finder.problems, *contradictions, *finder.unknown(plan.exclude)]
    unmatched = [Unmatched(ref, problem, _before(ref, inventory, excluder)) for ref, problem in finder.unmatched]
    if meant and not chosen and not problems:
        text = f"every server of the plan is excluded ({len(meant):,} of {len(meant):,})"
        problem = plan.place("exclude").fault(text, "leave at least one server in")
        if all(ref.select for ref in plan.servers):
            unmatched += [Unmatched(ref, problem, _before(ref, inventory, excluder)) for ref in plan.servers]
        else:
            problems.append(problem)
    if len(chosen) > PLAN_MAX_SERVERS:
        text = f"the plan matches {len(chosen):,} servers; a plan has at most {PLAN_MAX_SERVERS:,}"
        problems.append(plan.place("servers").fault(text))
    servers = [server for server, _ in chosen]
    return Selection(
        chosen,
        tuple(problems),
        tuple(unmatched),
        tuple(excluder.idle(servers)),
        tuple(excluder.look_alikes(servers)),
        finder.selected,
        allowed,
    )


def selected_since(
    plan: Plan, inventory: Inventory, known: Collection[str], images: Mapping[str, str]
) -> tuple[Server, ...]:
    """The servers that a new run of the plan would change for a selector's sake, and that are not among the known ids.

    `images` are the pins of the plan's words for images; a server that runs its image already would be skipped.
    """
    found = select(replace(plan, servers=tuple(ref for ref in plan.servers if ref.select)), inventory).servers
    fresh = ((server, ref.change.over(plan.change)) for server, ref in found if server.id not in known)
    return tuple(server for server, change in fresh if images.get(change.image or "") not in server.picture.images)


def changed_since(
    plan: Plan, inventory: Inventory, members: Collection[str]
) -> Iterator[tuple[Server, tuple[ServerRef, ...]]]:
    """The servers that selectors match but for the keys that a change alters, each with the entries that do.

    `members` are the ids of servers that runs of the plan had: an entry that has no other key matches these.
    """
    excluder = _Excluder(plan.exclude)
    found: dict[str, list[ServerRef]] = {}
    for ref in plan.servers:
        wide = None if ref.select is None else lasting(ref.select)
        if wide is None:
            continue
        for server in selected(wide, inventory.servers.values()):
            if (wide.written or server.id in members) and not excluder.excludes(server):
                found.setdefault(server.id, []).append(ref)
    return ((inventory.servers[server_id], tuple(refs)) for server_id, refs in found.items())


def _before(ref: ServerRef, inventory: Inventory, excluder: "_Excluder") -> tuple[Server, ...]:
    wide = None if ref.select is None else lasting(ref.select)
    servers = () if wide is None else selected(wide, inventory.servers.values())
    return tuple(server for server in servers if not excluder.excludes(server))


class _Finder:
    def __init__(self, inventory: Inventory) -> None:
        self.problems: list[Problem] = []
        self.unmatched: list[tuple[ServerRef, Problem]] = []
        self.selected: dict[SourcePosition, int] = {}
        self._by_id = inventory.servers
        self._by_name: dict[str, list[Server]] = {}
        for server in inventory.servers.values():
            self._by_name.setdefault(server.name, []).append(server)
        self._compared = 0
        self._suggestions: Suggestions | None = None
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
            self.unmatched.append((ref, near_misses(ref.select, ref.place, servers)))
        return found

    def _one(self, ref: ServerRef) -> Server | None:
        if ref.id is not None:
            server = self._by_id.get(ref.id)
            if server is None:
                text = f"no server of the project has the id {ref.id}"
                self.problems.append(ref.place.fault(text, self._unread()))
            elif ref.called is not None and ref.called != server.name.strip():
                text = f"the server {ref.id} is called {shown(server.name)}; the row names another"
                hint = "correct the row: its id may be that of another row; or remove the column `name`"
                self.problems.append(ref.place.fault(text, hint))
            return server
        return self._named(ref.name or "", ref.place)

    def _named(self, name: str, place: SourcePosition) -> Server | None:
        candidates = self._by_name.get(name, [])
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            text = f"{len(candidates):,} servers are called {shown(name)}"
            self.problems.append(place.fault(text, f"use an id: {_listed(candidates)}"))
        else:
            self.problems.append(place.fault(_nobody(name), self._unread() or self._near(name)))
        return None

    def _unread(self) -> str | None:
        if not self._unidentified:
            return None
        named = join_some(self._unidentified, CANDIDATES_LISTED)
        return f"the list of servers shows some whose ids cannot be read: {named}"

    def allowed(self, servers: Sequence[AllowedServer]) -> Iterator[str]:
        """The ids of those servers, given by id or by name; those that are not there become problems."""
        for one in servers:
            server = self._by_id.get(one.server.lower()) or self._named(one.server, one.place)
            if server is not None:
                yield server.id

    def unknown(self, exclusions: Sequence[Exclusion]) -> Iterator[Problem]:
        """The exclusions by id or exact name that no server of the project has."""
        gone = "if that server is gone, remove the entry"
        for one in exclusions:
            if one.id is not None and one.id not in self._by_id:
                yield one.place.fault(f"no server of the project has the id {one.id}, so it excludes nobody", gone)
            elif one.name is not None and not is_glob(one.name) and one.name not in self._by_name:
                yield one.place.fault(f"{_nobody(one.name)}, so it excludes nobody", self._near(one.name) or gone)

    def _near(self, name: str) -> str | None:
        if name.lower() in self._by_id:
            return "this is an id: write `id:`"
        self._compared += 1
        if self._compared > NAMES_COMPARED:
            return None
        self._suggestions = self._suggestions or Suggestions(self._by_name)
        return self._suggestions.meant(name)


def _nobody(name: str) -> str:
    return f"no server of the project is called {shown(name)}"


def _listed(candidates: Sequence[Server]) -> str:
    shown = [
        f"{server.id} ({', '.join(part for part in (server.picture.status, server.az) if part)})"
        for server in candidates[:CANDIDATES_LISTED]
    ]
    return ", ".join(shown) + and_more(len(candidates) - len(shown))


class _Excluder:
    def __init__(self, exclusions: Sequence[Exclusion]) -> None:
        self._exclusions = exclusions
        self._globs = [(one, re.compile(translate(one.name))) for one in exclusions if one.name is not None]
        self._ids = {one.id for one in exclusions if one.id is not None}
        self._used: set[SourcePosition] = set()

    def excludes(self, server: Server) -> bool:
        """Whether the server is left out. A name with `[` in it is spared by its own letters as well."""
        by_id = server.id in self._ids
        matching = [one for one, glob in self._globs if glob.match(server.name) or one.name == server.name]
        self._used |= {one.place for one in matching}
        if by_id:
            self._used |= {one.place for one in self._exclusions if one.id == server.id}
        return by_id or bool(matching)

    def idle(self, servers: Sequence[Server]) -> Iterator[Idle]:
        """The exclusions that left no server out; of patterns also whom they would match by the look of the names."""
        unused = [one for one in self._exclusions if one.place not in self._used]
        looks = {server.name: look(server.name) for server in servers} if unused else {}
        for one in unused:
            yield Idle(one, _nearly_matched(one.name, looks) if one.name and is_glob(one.name) else None)

    def look_alikes(self, servers: Sequence[Server]) -> Iterator[LookAlike]:
        """Those of the servers, which are not left out, that look like one that is excluded by its exact name."""
        excluded = {look(one.name): one.name for one in self._exclusions if one.name and not is_glob(one.name)}
        for server in servers if excluded else ():
            name = excluded.get(look(server.name))
            if name is not None:
                yield LookAlike(server, name)


def _nearly_matched(pattern: str, looks: Mapping[str, str]) -> str | None:
    glob = re.compile(translate(look(pattern)))
    found = [name for name, seen in looks.items() if glob.match(seen)]
    named = join_some(list(map(shown, found)), CANDIDATES_LISTED)
    return f"but for capitals or look-alike letters it matches {named}" if found else None
