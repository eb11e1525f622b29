"""Server list with details, page by page (ECS API, "listing details about ECSs")."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import cast

from fleetos.cloud.api.decode import normalize_name, read_server
from fleetos.cloud.api.name_filter import NameFilters
from fleetos.cloud.api.reads import GrantedReads, parse_response
from fleetos.cloud.http.addresses import Origin
from fleetos.cloud.http.json_fields import Fields, InvalidJson, number, require_text
from fleetos.cloud.http.transport import HttpResponse
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import PermissionDenied, ReadRefused
from fleetos.limits import ID_CHARS, LIST_PAGE
from fleetos.model.inventory import UNKNOWN_SNAPSHOT, Server
from fleetos.names import shown

# More pages than this means that the cloud ignores the page number.
LIST_PAGES = 500
# Ids in one query of the list (ECS API reference: at most 100 are advised).
LIST_IDS = 100
_ALL: Mapping[str, str] = {}
_TWICE = "the list shows it twice, and not as the same"
# Lone surrogates: the decoder leaves them for bytes that are not UTF-8.
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of the server list."""

    total: int | None
    """The `count` of the response."""
    names: Mapping[str, str]
    """The names of all servers on the page, by id."""
    servers: Mapping[str, Server]
    """The wanted servers, unreadable ones included, by id."""
    unidentified: Sequence[str]
    """Descriptions of the entries without a readable id."""

    @property
    def entries(self) -> int:
        """Number of servers on the page."""
        return len(self.names) + len(self.unidentified)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Result of a walk through list pages. `whole`: to the end; a walk ends early once it has all wanted servers."""

    servers: dict[str, Server]
    unidentified: list[str]
    pages: int
    whole: bool


class ServerList:
    """Server list of one project, read whole, by ids, or by name filters.

    `pages` is the number of pages of the whole list, 0 before the first walk. `by_ids`: whether the cloud supports the
    query `server_id` (a list of ids; Huawei Cloud documents it, Open Telekom Cloud does not), None before it was tried.
    If it does not and the list is long, servers are listed by name filters.
    """

    def __init__(self, session: Session, origin: Origin, project_id: str) -> None:
        self._reads = GrantedReads(session)
        self._origin = origin
        self._path = f"/v1/{project_id}/cloudservers/detail"
        self._filters = NameFilters()
        self.pages = 0
        self.by_ids: bool | None = None

    def count_requests(self, servers: int) -> int:
        """Return the number of requests that it takes to list `servers` servers."""
        walked = max(1, self.pages)
        if self.by_ids is False:
            return min(walked, self._filters.calls or walked)
        return min(walked, -(-servers // LIST_IDS))

    async def sweep(self, wanted: frozenset[str]) -> dict[str, Server]:
        """Return the wanted servers that the list shows and that are readable, by id. Raise CloudError."""
        servers = await self._find(wanted)
        return {server_id: server for server_id, server in servers.items() if server.unread is None}

    async def _find(self, wanted: frozenset[str]) -> dict[str, Server]:
        if self.by_ids is not False and self.count_requests(len(wanted)) >= -(-len(wanted) // LIST_IDS):
            servers = await self._by_ids(sorted(wanted))
            if servers is not None:
                return servers
        groups: Mapping[str, Set[str]] = {}
        if self.by_ids is False:
            groups = self._filters.group_servers(wanted, self.pages)
        servers = await self._by_names(groups)
        if wanted <= servers.keys():
            return servers
        listed = (await self._walk_whole(wanted)).servers
        if groups and not listed.keys() <= servers.keys():
            self._filters.record_omission()
        return {**servers, **listed}

    async def list_all(self) -> tuple[dict[str, Server], Sequence[str]]:
        """Return all servers by id, and descriptions of entries without a readable id. Raise CloudError."""
        walk = await self._walk_whole(None)
        return walk.servers, walk.unidentified

    async def _by_ids(self, ids: Sequence[str]) -> dict[str, Server] | None:
        """Return the servers that lists by ids show; None if the cloud ignores or refuses the query by ids."""
        servers: dict[str, Server] = {}
        for first in range(0, len(ids), LIST_IDS):
            batch = ids[first : first + LIST_IDS]
            try:
                page = await self._page(1, frozenset(batch), {"server_id": ",".join(batch)})
            except ReadRefused:
                # A cloud that is known to support ids may refuse a page for another reason.
                self.by_ids = self.by_ids or False
                return None
            except PermissionDenied:
                # With ids the cloud may ignore the query for enterprise projects. The whole list shows the real cause.
                self.by_ids = False
                return None
            if not page.names.keys() <= set(batch):
                self.by_ids = False
                return None
            self.by_ids = self.by_ids or (True if page.names else None)
            servers.update(page.servers)
        return servers

    async def _by_names(self, groups: Mapping[str, Set[str]]) -> dict[str, Server]:
        """Return the servers that lists by name filters show."""
        servers: dict[str, Server] = {}
        for name_filter, server_ids in groups.items():
            try:
                walk = await self._walk_pages(server_ids, {"name": name_filter})
            except ReadRefused:
                # `_find` then looks for the missing servers in the whole list, and counts the omission.
                break
            self._filters.record_pages(name_filter, walk.pages, whole=walk.whole)
            servers.update(walk.servers)
        return servers

    async def _walk_whole(self, wanted: frozenset[str] | None) -> _Walk:
        """Walk through the whole list; keep all servers, or only the wanted ones."""
        walk = await self._walk_pages(wanted, _ALL)
        self.pages = walk.pages if walk.whole else max(walk.pages, self.pages)
        if wanted is not None:
            # Choose the filters now, so that `count_requests` knows the cost of the next sweep.
            self._filters.group_servers(wanted, self.pages)
        return walk

    async def _walk_pages(self, wanted: Set[str] | None, query: Mapping[str, str]) -> _Walk:
        """Walk through the list of a query; keep all servers, or only the wanted ones.

        The list has the platform's temporary servers, its `count` not always, so a full page is never the last.
        `offset` is a page number, from 1.
        """
        servers: dict[str, Server] = {}
        unidentified: list[str] = []
        seen_ids: set[str] = set()
        page_number, whole = 0, False
        for page_number in range(1, LIST_PAGES + 1):
            page = await self._page(page_number, wanted, query)
            new = page.names.keys() - seen_ids
            seen_ids |= new
            servers.update(_refuse_renamed(servers, page.servers))
            unidentified += page.unidentified if new or page_number == 1 else ()
            self._filters.add_names(page.names)
            count = len(seen_ids) + len(unidentified)
            whole = not new or (page.entries < LIST_PAGE and (page.total is None or count >= page.total))
            if whole or (wanted is not None and len(servers) == len(wanted)):
                break
        # A walk that ended early has seen only a lower bound of the pages.
        return _Walk(servers, unidentified, page_number, whole)

    async def _page(self, page: int, wanted: Set[str] | None, query: Mapping[str, str]) -> _Page:
        about = f"page {page} of the server list"
        params = {"limit": str(LIST_PAGE), "offset": str(page), **query}
        response = await self._reads.read(ReadRequest("list", self._origin, self._path, about, params))
        return parse_response(
            about, response, lambda fields: _parse_page(fields, response, wanted, by_ids="server_id" in query)
        )


def _parse_page(fields: Fields, response: HttpResponse, wanted: Set[str] | None, *, by_ids: bool) -> _Page:
    """Return a page. An unreadable entry makes only its own server unreadable. Raise InvalidJson."""
    listed = fields.get("servers")
    if listed is not None and not isinstance(listed, list):
        raise InvalidJson("servers is no list")
    entries: dict[str, Fields] = {}
    conflicting: set[str] = set()
    unidentified: list[str] = []
    for entry in cast("list[object]", listed or []):
        try:
            server_id = require_text(_object(entry), "id")
        except InvalidJson as error:
            unidentified.append(f"{shown(_name(entry)) or 'one without a name'} ({error})")
            continue
        entry_fields = _object(entry)
        # For a server that does not exist, a list by ids has an entry with only its id and a fault.
        if by_ids and "status" not in entry_fields:
            continue
        if server_id in entries and entries[server_id] != entry_fields:
            conflicting.add(server_id)
        entries[server_id] = entry_fields
    servers = {
        server_id: _unreadable(server_id, _name(entry_fields), _TWICE)
        if server_id in conflicting
        else _parse_server(server_id, entry_fields, response, strictly=wanted is None)
        for server_id, entry_fields in entries.items()
        if wanted is None or server_id in wanted
    }
    names = {server_id: _name(entry_fields) for server_id, entry_fields in entries.items()}
    return _Page(number(fields, "count"), names, servers, unidentified)


def _parse_server(server_id: str, entry: Fields, response: HttpResponse, *, strictly: bool) -> Server:
    """Return the server of an entry, `unread` if it is unreadable; with `strictly`, also if its name is.

    A plan may exclude servers by name, so a server without a name must not be selected by anything else.
    """
    if strictly and not _name(entry):
        return _unreadable(server_id, "", "name is missing, or cannot be read")
    try:
        return read_server(entry, response.secrets, response.sent_at, response.cloud_time)
    except InvalidJson as error:
        return _unreadable(server_id, _name(entry), str(error))


def _unreadable(server_id: str, name: str, why: str) -> Server:
    return Server(server_id, normalize_name(name), UNKNOWN_SNAPSHOT, unread=why)


def _refuse_renamed(earlier: Mapping[str, Server], page: Mapping[str, Server]) -> Mapping[str, Server]:
    """Return the servers of a page; one that an earlier page shows with another name becomes unreadable.

    A server may be on two pages, since pages shift while servers come and go.
    """
    return {
        server_id: server
        if server_id not in earlier or earlier[server_id].name == server.name
        else _unreadable(server_id, earlier[server_id].name, _TWICE)
        for server_id, server in page.items()
    }


def _object(entry: object) -> Fields:
    if not isinstance(entry, dict):
        raise InvalidJson("it is no object")
    return cast("Fields", entry)


def _name(entry: object) -> str:
    """Return the server's name, empty if it has no readable one."""
    name = cast("Fields", entry).get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) and len(name) <= ID_CHARS and not _HALF.search(name) else ""
