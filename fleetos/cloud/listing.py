"""The server list with details, page by page (ECS API, "listing details about ECSs")."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from fleetos.cloud.addresses import Origin
from fleetos.cloud.fields import Fields, need, number, parts
from fleetos.cloud.narrowing import Narrowing
from fleetos.cloud.pictures import read_server
from fleetos.cloud.reads import parsed
from fleetos.cloud.session import Read, Session
from fleetos.errors import ReadRefused
from fleetos.limits import ID_CHARS, LIST_IDS, LIST_PAGE, LIST_PAGES
from fleetos.model.inventory import Server

_ALL: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Page:
    """`total`: how many servers there are by the cloud's word. `names`: of all that the page shows, by their ids."""

    total: int | None
    names: Mapping[str, str]
    servers: Mapping[str, Server]


@dataclass(frozen=True, slots=True)
class _Walk:
    """`whole`: to the end of the list; a walk that has found all that it wanted ends earlier."""

    servers: dict[str, Server]
    pages: int
    whole: bool


class ServerList:
    """The list of one project's servers: whole, by ids, or by texts of their names.

    `pages` is how many a walk through all of it takes, 0 before the first. `by_ids`: whether the cloud heeds the query
    `server_id` (a list of ids; Huawei Cloud documents it, Open Telekom Cloud does not), None before it was tried. Where
    it does not, and the list is long, servers are asked for by their names.
    """

    def __init__(self, session: Session, origin: Origin, project_id: str) -> None:
        self._session = session
        self._origin = origin
        self._path = f"/v1/{project_id}/cloudservers/detail"
        self._narrowing = Narrowing()
        self.pages = 0
        self.by_ids: bool | None = None

    def calls(self, servers: int) -> int:
        """Return how many requests it takes to see so many servers of the list."""
        walked = max(1, self.pages)
        if self.by_ids is False:
            return min(walked, self._narrowing.calls or walked)
        return min(walked, -(-servers // LIST_IDS))

    async def sweep(self, wanted: frozenset[str]) -> dict[str, Server]:
        """Return those of the servers that the list shows, by id. Raises CloudError."""
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
        shown = await self._whole(wanted)
        if groups and not shown.keys() <= found.keys():
            self._narrowing.left_out()
        return {**found, **shown}

    async def walk(self) -> dict[str, Server]:
        """Return all servers of the list by id. Raises CloudError."""
        return await self._whole(None)

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

    async def _whole(self, wanted: frozenset[str] | None) -> dict[str, Server]:
        """Return the servers of the whole list, or those of them that are wanted, by id."""
        walked = await self._walked(wanted, _ALL)
        self.pages = walked.pages if walked.whole else max(walked.pages, self.pages)
        if wanted is not None:
            # Chosen here already, so that the engine knows what the next sweep costs.
            self._narrowing.groups(wanted, self.pages)
        return walked.servers

    async def _walked(self, wanted: Set[str] | None, query: Mapping[str, str]) -> _Walk:
        """Return what a walk through the list of that query shows, or those of it that are wanted.

        The platform's temporary servers stand in the list but not always in its `count`, so a full page is never the
        last. `offset` is a page number, from 1.
        """
        found: dict[str, Server] = {}
        seen: set[str] = set()
        number_of, whole = 0, False
        for number_of in range(1, LIST_PAGES + 1):
            page = await self._page(number_of, wanted, query)
            fresh = page.names.keys() - seen
            seen |= fresh
            found.update(page.servers)
            self._narrowing.learn(page.names)
            short = len(page.names) < LIST_PAGE and (page.total is None or len(seen) >= page.total)
            whole = not fresh or short
            if whole or (wanted is not None and len(found) == len(wanted)):
                break
        # A walk that found all that it wanted early says only that there are so many pages at least.
        return _Walk(found, number_of, whole)

    async def _page(self, page: int, wanted: Set[str] | None, query: Mapping[str, str]) -> _Page:
        about = f"page {page} of the server list"
        params = {"limit": str(LIST_PAGE), "offset": str(page), **query}
        answer = await self._session.read(Read("list", self._origin, self._path, about, params))
        told_at = answer.told_at

        def parse(fields: Fields) -> _Page:
            # Of a server that is not there, a list by ids has an entry with its id and a fault alone.
            listed = [(need(entry, "id"), entry) for entry in parts(fields, "servers")]
            entries = [(own, entry) for own, entry in listed if "server_id" not in query or "status" in entry]
            servers = {
                own: read_server(entry, answer.secrets, answer.left, told_at)
                for own, entry in entries
                if wanted is None or own in wanted
            }
            return _Page(number(fields, "count"), {own: _name(entry) for own, entry in entries}, servers)

        return parsed(about, answer, parse)


def _name(entry: Fields) -> str:
    """The server's name, empty where it has none that can be asked by; a stranger's is nobody's trouble."""
    name = entry.get("name")
    return name if isinstance(name, str) and len(name) <= ID_CHARS else ""
