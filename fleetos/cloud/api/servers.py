"""The server list with details, page by page (ECS API, "listing details about ECSs")."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import cast

from fleetos.cloud.api.decode import kept, read_server
from fleetos.cloud.api.name_filter import NameFilters
from fleetos.cloud.api.reads import GrantedReads, parsed
from fleetos.cloud.http.addresses import Origin
from fleetos.cloud.http.json_fields import Fields, InvalidJson, need, number
from fleetos.cloud.http.transport import HttpResponse
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import PermissionDenied, ReadRefused
from fleetos.limits import ID_CHARS, LIST_IDS, LIST_PAGE, LIST_PAGES
from fleetos.model.inventory import NOTHING_SEEN, Server
from fleetos.names import shown

_ALL: Mapping[str, str] = {}
_TWICE = "the list shows it twice, and not as the same"
# Half of a letter: what is left of bytes that are no UTF-8.
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Page:
    """`total`: how many servers there are by the cloud's word. `names`: of all that the page shows, by their ids.

    `servers` are those that are wanted, the unreadable ones among them; `unidentified` are entries without a readable
    id, in words.
    """

    total: int | None
    names: Mapping[str, str]
    servers: Mapping[str, Server]
    unidentified: Sequence[str]

    @property
    def entries(self) -> int:
        """How many servers the page shows."""
        return len(self.names) + len(self.unidentified)


@dataclass(frozen=True, slots=True)
class _Walk:
    """`whole`: to the end of the list; a walk that has found all that it wanted ends earlier."""

    servers: dict[str, Server]
    unidentified: list[str]
    pages: int
    whole: bool


class ServerList:
    """The list of one project's servers: whole, by ids, or by texts of their names.

    `pages` is how many a walk through all of it takes, 0 before the first. `by_ids`: whether the cloud heeds the query
    `server_id` (a list of ids; Huawei Cloud documents it, Open Telekom Cloud does not), None before it was tried. Where
    it does not, and the list is long, servers are asked for by their names.
    """

    def __init__(self, session: Session, origin: Origin, project_id: str) -> None:
        self._reads = GrantedReads(session)
        self._origin = origin
        self._path = f"/v1/{project_id}/cloudservers/detail"
        self._narrowing = NameFilters()
        self.pages = 0
        self.by_ids: bool | None = None

    def calls(self, servers: int) -> int:
        """Return how many requests it takes to see so many servers of the list."""
        walked = max(1, self.pages)
        if self.by_ids is False:
            return min(walked, self._narrowing.calls or walked)
        return min(walked, -(-servers // LIST_IDS))

    async def sweep(self, wanted: frozenset[str]) -> dict[str, Server]:
        """Return those of the servers that the list shows and that can be read, by id. Raises CloudError."""
        found = await self._swept(wanted)
        return {own: server for own, server in found.items() if server.unread is None}

    async def _swept(self, wanted: frozenset[str]) -> dict[str, Server]:
        if self.by_ids is not False and self.calls(len(wanted)) >= -(-len(wanted) // LIST_IDS):
            found = await self._by_ids(sorted(wanted))
            if found is not None:
                return found
        groups: Mapping[str, Set[str]] = {}
        if self.by_ids is False:
            groups = self._narrowing.groups(wanted, self.pages)
        found = await self._by_names(groups)
        if wanted <= found.keys():
            return found
        shown = (await self._whole(wanted)).servers
        if groups and not shown.keys() <= found.keys():
            self._narrowing.left_out()
        return {**found, **shown}

    async def walk(self) -> tuple[dict[str, Server], Sequence[str]]:
        """Return all servers of the list by id, and those without a readable id, in words. Raises CloudError."""
        walked = await self._whole(None)
        return walked.servers, walked.unidentified

    async def _by_ids(self, ids: Sequence[str]) -> dict[str, Server] | None:
        """Return those of the servers that lists by ids show; None if the cloud heeds or understands no ids."""
        found: dict[str, Server] = {}
        for first in range(0, len(ids), LIST_IDS):
            part = ids[first : first + LIST_IDS]
            try:
                page = await self._page(1, frozenset(part), {"server_id": ",".join(part)})
            except ReadRefused:
                # One refused page of a cloud that is known to heed ids says nothing of the next.
                self.by_ids = self.by_ids or False
                return None
            except PermissionDenied:
                # With ids the query for enterprise projects may not count. The whole list tells whether that is all.
                self.by_ids = False
                return None
            if not page.names.keys() <= set(part):
                self.by_ids = False
                return None
            self.by_ids = self.by_ids or (True if page.names else None)
            found.update(page.servers)
        return found

    async def _by_names(self, groups: Mapping[str, Set[str]]) -> dict[str, Server]:
        """Return those of the servers that lists by a text of their names show."""
        found: dict[str, Server] = {}
        for text, servers in groups.items():
            try:
                walked = await self._walked(servers, {"name": text})
            except ReadRefused:
                # Whoever is missing for it is looked for in the whole list, and counted there.
                break
            self._narrowing.took(text, walked.pages, whole=walked.whole)
            found.update(walked.servers)
        return found

    async def _whole(self, wanted: frozenset[str] | None) -> _Walk:
        """Return the servers of the whole list, or those of them that are wanted."""
        walked = await self._walked(wanted, _ALL)
        self.pages = walked.pages if walked.whole else max(walked.pages, self.pages)
        if wanted is not None:
            # Chosen here already, so that the engine knows what the next sweep costs.
            self._narrowing.groups(wanted, self.pages)
        return walked

    async def _walked(self, wanted: Set[str] | None, query: Mapping[str, str]) -> _Walk:
        """Return what a walk through the list of that query shows, or those of it that are wanted.

        The platform's temporary servers stand in the list but not always in its `count`, so a full page is never the
        last. `offset` is a page number, from 1.
        """
        found: dict[str, Server] = {}
        unidentified: list[str] = []
        seen: set[str] = set()
        number_of, whole = 0, False
        for number_of in range(1, LIST_PAGES + 1):
            page = await self._page(number_of, wanted, query)
            fresh = page.names.keys() - seen
            seen |= fresh
            found.update(_agreed(found, page.servers))
            unidentified += page.unidentified if fresh or number_of == 1 else ()
            self._narrowing.learn(page.names)
            shown = len(seen) + len(unidentified)
            whole = not fresh or (page.entries < LIST_PAGE and (page.total is None or shown >= page.total))
            if whole or (wanted is not None and len(found) == len(wanted)):
                break
        # A walk that found all that it wanted early says only that there are so many pages at least.
        return _Walk(found, unidentified, number_of, whole)

    async def _page(self, page: int, wanted: Set[str] | None, query: Mapping[str, str]) -> _Page:
        about = f"page {page} of the server list"
        params = {"limit": str(LIST_PAGE), "offset": str(page), **query}
        answer = await self._reads.read(ReadRequest("list", self._origin, self._path, about, params))
        return parsed(about, answer, lambda fields: _page_of(fields, answer, wanted, by_ids="server_id" in query))


def _page_of(fields: Fields, answer: HttpResponse, wanted: Set[str] | None, *, by_ids: bool) -> _Page:
    """Return a page. An entry that cannot be read stands for its own server alone. Raises Unreadable."""
    listed = fields.get("servers")
    if listed is not None and not isinstance(listed, list):
        raise InvalidJson("servers is no list")
    entries: dict[str, Fields] = {}
    twice: set[str] = set()
    unidentified: list[str] = []
    for entry in cast("list[object]", listed or []):
        try:
            own = need(_object(entry), "id")
        except InvalidJson as error:
            unidentified.append(f"{shown(_name(entry)) or 'one without a name'} ({error})")
            continue
        one = _object(entry)
        # Of a server that is not there, a list by ids has an entry with its id and a fault alone.
        if by_ids and "status" not in one:
            continue
        if own in entries and entries[own] != one:
            twice.add(own)
        entries[own] = one
    servers = {
        own: _unread(own, _name(one), _TWICE) if own in twice else _server(own, one, answer, strictly=wanted is None)
        for own, one in entries.items()
        if wanted is None or own in wanted
    }
    names = {own: _name(one) for own, one in entries.items()}
    return _Page(number(fields, "count"), names, servers, unidentified)


def _server(own: str, entry: Fields, answer: HttpResponse, *, strictly: bool) -> Server:
    """The server of an entry, `unread` where that cannot be read; `strictly` also where its name cannot.

    By its name a plan leaves a server out, so that one without a name is none that may be chosen by anything else.
    """
    if strictly and not _name(entry):
        return _unread(own, "", "name is missing, or cannot be read")
    try:
        return read_server(entry, answer.secrets, answer.left, answer.told_at)
    except InvalidJson as error:
        return _unread(own, _name(entry), str(error))


def _unread(own: str, name: str, why: str) -> Server:
    return Server(own, kept(name), NOTHING_SEEN, unread=why)


def _agreed(before: Mapping[str, Server], page: Mapping[str, Server]) -> Mapping[str, Server]:
    """The servers of a page. One that an earlier page has shown, as servers come and go, has kept its name."""
    return {
        own: server if own not in before or before[own].name == server.name else _unread(own, before[own].name, _TWICE)
        for own, server in page.items()
    }


def _object(entry: object) -> Fields:
    if not isinstance(entry, dict):
        raise InvalidJson("it is no object")
    return cast("Fields", entry)


def _name(entry: object) -> str:
    """The server's name, empty where it has none that can be read."""
    name = cast("Fields", entry).get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) and len(name) <= ID_CHARS and not _HALF.search(name) else ""
