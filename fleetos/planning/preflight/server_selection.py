"""Resolve which servers a plan means."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate

from fleetos.errors import Problem
from fleetos.limits import CANDIDATES_LISTED, PLAN_MAX_SERVERS
from fleetos.model.inventory import Inventory, Server
from fleetos.model.plan import AllowedServer, Exclusion, Plan, ServerRef, SourcePosition
from fleetos.names import Suggestions, shown, skeleton
from fleetos.planning.plan_file.duplicates import merge_servers
from fleetos.planning.plan_file.value_types import is_glob
from fleetos.planning.preflight.selectors import explain_no_match, match_servers, without_changing_keys
from fleetos.text import and_more, join_some

# Unknown names that are compared with all names of the project: each costs some 10 ms for 10,000 names.
NAMES_COMPARED = 20


@dataclass(frozen=True, slots=True)
class IdleExclusion:
    """An exclusion that leaves no server out."""

    exclusion: Exclusion
    hint: str | None
    """Servers that it may have been meant to match."""


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A server that the plan means, and whose name looks like that of a server excluded by name."""

    server: Server
    excluded: str


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An entry that matches no server, or only excluded ones."""

    ref: ServerRef
    problem: Problem
    before: tuple[Server, ...]
    """Servers that the entry may have matched before their change. If they run their image, there is no problem."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The servers that the plan means, in its order, and the problems of finding them."""

    servers: tuple[tuple[Server, ServerRef], ...]
    """Each server with what the plan says of it."""
    problems: tuple[Problem, ...]
    unmatched: tuple[Unmatched, ...]
    idle_exclusions: tuple[IdleExclusion, ...]
    look_alikes: tuple[LookAlike, ...]
    selected: Mapping[SourcePosition, int]
    """Number of servers that each selector means, excluded ones included, by the selector's place."""
    allowed: frozenset[str] = frozenset()
    """Ids of the servers that may be changed although they belong to another service."""
    unprotected: frozenset[str] = frozenset()
    """Ids of the servers that may be changed although their tag protects them."""


def select(plan: Plan, inventory: Inventory) -> Selection:
    """Return the servers of the inventory that the plan lists or selects and does not exclude.

    A server that is listed twice, by id and by name or by several selectors, is one server. An exclusion by id or exact
    name that no server of the project has is a problem: the server that it was meant to spare would be changed.
    """
    finder = _Finder(inventory)
    identified = ((server.id, ref) for ref in plan.servers for server in finder.find_servers(ref))
    kept, contradictions = merge_servers(identified)
    excluder = _Excluder(plan.exclude)
    meant = [(inventory.servers[str(server_id)], ref) for server_id, ref in kept.items()]
    chosen = tuple((server, ref) for server, ref in meant if not excluder.excludes(server))
    allowed = frozenset(finder.allowed_ids(plan.allow_managed))
    unprotected = frozenset(finder.allowed_ids(plan.allow_protected))
    problems = [*finder.problems, *contradictions, *finder.unknown_exclusions(plan.exclude)]
    unmatched = [
        Unmatched(ref, problem, _servers_before_change(ref, inventory, excluder)) for ref, problem in finder.unmatched
    ]
    if meant and not chosen and not problems:
        text = f"every server of the plan is excluded ({len(meant):,} of {len(meant):,})"
        problem = plan.place("exclude").fault(text, "leave at least one server in")
        if all(ref.select for ref in plan.servers):
            unmatched += [
                Unmatched(ref, problem, _servers_before_change(ref, inventory, excluder)) for ref in plan.servers
            ]
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
        tuple(excluder.idle_exclusions(servers)),
        tuple(excluder.look_alikes(servers)),
        finder.selected,
        allowed,
        unprotected,
    )


def newly_selected(
    plan: Plan, inventory: Inventory, known: Collection[str], images: Mapping[str, str]
) -> tuple[Server, ...]:
    """Return the servers that a new run would change because of a selector, without the known ids.

    `images` are image ids by the plan's words; a server that runs its image already would be skipped.
    """
    selected = select(replace(plan, servers=tuple(ref for ref in plan.servers if ref.select)), inventory).servers
    fresh = ((server, ref.change.over(plan.change)) for server, ref in selected if server.id not in known)
    return tuple(server for server, change in fresh if images.get(change.image or "") not in server.snapshot.images)


def matched_before_change(
    plan: Plan, inventory: Inventory, members: Collection[str]
) -> Iterator[tuple[Server, tuple[ServerRef, ...]]]:
    """Return the servers that selectors match apart from the keys that a change alters, each with its entries.

    `members` are the ids of servers that runs of the plan had: an entry that has no other key matches these.
    """
    excluder = _Excluder(plan.exclude)
    refs_by_id: dict[str, list[ServerRef]] = {}
    for ref in plan.servers:
        lasting = None if ref.select is None else without_changing_keys(ref.select)
        if lasting is None:
            continue
        for server in match_servers(lasting, inventory.servers.values()):
            if (lasting.written or server.id in members) and not excluder.excludes(server):
                refs_by_id.setdefault(server.id, []).append(ref)
    return ((inventory.servers[server_id], tuple(refs)) for server_id, refs in refs_by_id.items())


def _servers_before_change(ref: ServerRef, inventory: Inventory, excluder: "_Excluder") -> tuple[Server, ...]:
    lasting = None if ref.select is None else without_changing_keys(ref.select)
    servers = () if lasting is None else match_servers(lasting, inventory.servers.values())
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

    def find_servers(self, ref: ServerRef) -> Sequence[Server]:
        """Return the servers that the entry means; none if there is a problem, which is kept."""
        if ref.select is None:
            server = self._find_listed(ref)
            return () if server is None else (server,)
        servers = tuple(self._by_id.values())
        matching = match_servers(ref.select, servers)
        self.selected[ref.place] = len(matching)
        if not matching:
            self.unmatched.append((ref, explain_no_match(ref.select, ref.place, servers)))
        return matching

    def _find_listed(self, ref: ServerRef) -> Server | None:
        if ref.id is not None:
            server = self._by_id.get(ref.id)
            if server is None:
                text = f"no server of the project has the id {ref.id}"
                self.problems.append(ref.place.fault(text, self._unread_hint()))
            elif ref.called is not None and ref.called != server.name.strip():
                text = f"the server {ref.id} is called {shown(server.name)}; the row names another"
                hint = "correct the row: its id may be that of another row; or remove the column `name`"
                self.problems.append(ref.place.fault(text, hint))
            return server
        return self._find_by_name(ref.name or "", ref.place)

    def _find_by_name(self, name: str, place: SourcePosition) -> Server | None:
        candidates = self._by_name.get(name, [])
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            text = f"{len(candidates):,} servers are called {shown(name)}"
            self.problems.append(place.fault(text, f"use an id: {_list_candidates(candidates)}"))
        else:
            self.problems.append(place.fault(_no_server_called(name), self._unread_hint() or self._suggest_name(name)))
        return None

    def _unread_hint(self) -> str | None:
        if not self._unidentified:
            return None
        named = join_some(self._unidentified, CANDIDATES_LISTED)
        return f"the list of servers shows some whose ids cannot be read: {named}"

    def allowed_ids(self, servers: Sequence[AllowedServer]) -> Iterator[str]:
        """Yield the ids of those servers, given by id or by name; keep a problem for each that does not exist."""
        for entry in servers:
            server = self._by_id.get(entry.server.lower()) or self._find_by_name(entry.server, entry.place)
            if server is not None:
                yield server.id

    def unknown_exclusions(self, exclusions: Sequence[Exclusion]) -> Iterator[Problem]:
        """Yield a problem for each exclusion by id or exact name that no server of the project has."""
        gone = "if that server is gone, remove the entry"
        for exclusion in exclusions:
            if exclusion.id is not None and exclusion.id not in self._by_id:
                yield exclusion.place.fault(
                    f"no server of the project has the id {exclusion.id}, so it excludes no server", gone
                )
            elif exclusion.name is not None and not is_glob(exclusion.name) and exclusion.name not in self._by_name:
                yield exclusion.place.fault(
                    f"{_no_server_called(exclusion.name)}, so it excludes no server",
                    self._suggest_name(exclusion.name) or gone,
                )

    def _suggest_name(self, name: str) -> str | None:
        if name.lower() in self._by_id:
            return "this is an id: write `id:`"
        self._compared += 1
        if self._compared > NAMES_COMPARED:
            return None
        self._suggestions = self._suggestions or Suggestions(self._by_name)
        return self._suggestions.did_you_mean(name)


def _no_server_called(name: str) -> str:
    return f"no server of the project is called {shown(name)}"


def _list_candidates(candidates: Sequence[Server]) -> str:
    shown = [
        f"{server.id} ({', '.join(part for part in (server.snapshot.status, server.az) if part)})"
        for server in candidates[:CANDIDATES_LISTED]
    ]
    return ", ".join(shown) + and_more(len(candidates) - len(shown))


class _Excluder:
    def __init__(self, exclusions: Sequence[Exclusion]) -> None:
        self._exclusions = exclusions
        self._globs = [
            (exclusion, re.compile(translate(exclusion.name))) for exclusion in exclusions if exclusion.name is not None
        ]
        self._ids = {exclusion.id for exclusion in exclusions if exclusion.id is not None}
        self._used: set[SourcePosition] = set()

    def excludes(self, server: Server) -> bool:
        """Return whether the server is excluded. A name with `[` in it also excludes the server called exactly so."""
        by_id = server.id in self._ids
        matching = [
            exclusion for exclusion, glob in self._globs if glob.match(server.name) or exclusion.name == server.name
        ]
        self._used |= {exclusion.place for exclusion in matching}
        if by_id:
            self._used |= {exclusion.place for exclusion in self._exclusions if exclusion.id == server.id}
        return by_id or bool(matching)

    def idle_exclusions(self, servers: Sequence[Server]) -> Iterator[IdleExclusion]:
        """Yield the exclusions that left no server out; for patterns with the names that look as if they match."""
        unused = [exclusion for exclusion in self._exclusions if exclusion.place not in self._used]
        looks = {server.name: skeleton(server.name) for server in servers} if unused else {}
        for exclusion in unused:
            yield IdleExclusion(
                exclusion,
                _suggest_matches(exclusion.name, looks) if exclusion.name and is_glob(exclusion.name) else None,
            )

    def look_alikes(self, servers: Sequence[Server]) -> Iterator[LookAlike]:
        """Yield those of the servers, none of them excluded, that look like one excluded by its exact name."""
        excluded = {
            skeleton(exclusion.name): exclusion.name
            for exclusion in self._exclusions
            if exclusion.name and not is_glob(exclusion.name)
        }
        for server in servers if excluded else ():
            name = excluded.get(skeleton(server.name))
            if name is not None:
                yield LookAlike(server, name)


def _suggest_matches(pattern: str, looks: Mapping[str, str]) -> str | None:
    glob = re.compile(translate(skeleton(pattern)))
    matching = [name for name, looks_like in looks.items() if glob.match(looks_like)]
    named = join_some(list(map(shown, matching)), CANDIDATES_LISTED)
    return f"but for capitals or look-alike letters it matches {named}" if matching else None
