"""The server list with details, page by page (ECS API, "listing details about ECSs")."""

from collections.abc import Sequence

from fleetos.cloud.addresses import Origin
from fleetos.cloud.fields import Fields, need, number, parts
from fleetos.cloud.pictures import read_server
from fleetos.cloud.reads import parsed
from fleetos.cloud.session import Read, Session
from fleetos.errors import ReadRefused
from fleetos.limits import LIST_IDS, LIST_PAGE, LIST_PAGES
from fleetos.model.inventory import Server


class ServerList:
    """The list of one project's servers, whole or by ids.

    `pages` is how many a walk through all of it takes, 0 before the first. `by_ids`: whether the cloud heeds the query
    `server_id` (a list of ids; Huawei Cloud documents it, Open Telekom Cloud does not), None before it was tried.
    """

    def __init__(self, session: Session, origin: Origin, project_id: str) -> None:
        self._session = session
        self._origin = origin
        self._path = f"/v1/{project_id}/cloudservers/detail"
        self.pages = 0
        self.by_ids: bool | None = None

    def calls(self, servers: int) -> int:
        """Return how many requests it takes to see so many servers of the list."""
        walked = max(1, self.pages)
        return walked if self.by_ids is False else min(walked, -(-servers // LIST_IDS))

    async def sweep(self, wanted: frozenset[str]) -> dict[str, Server]:
        """Return those of the servers that the list shows, by id. Raises CloudError."""
        if self.by_ids is False or self.calls(len(wanted)) < -(-len(wanted) // LIST_IDS):
            return await self.walk(wanted)
        found = await self._named(sorted(wanted))
        return await self.walk(wanted) if found is None else found

    async def _named(self, ids: Sequence[str]) -> dict[str, Server] | None:
        """Return those of the servers that lists by ids show; None if the cloud heeds or understands no ids."""
        found: dict[str, Server] = {}
        for first in range(0, len(ids), LIST_IDS):
            part = ids[first : first + LIST_IDS]
            try:
                _, shown, servers = await self._page(1, frozenset(part), part)
            except ReadRefused:
                # One refused page of a cloud that is known to heed ids says nothing of the next.
                self.by_ids = self.by_ids or False
                return None
            if not set(shown) <= set(part):
                self.by_ids = False
                return None
            self.by_ids = self.by_ids or (True if shown else None)
            found.update(servers)
        return found

    async def walk(self, wanted: frozenset[str] | None = None) -> dict[str, Server]:
        """Return the servers of the list, or those of them that are wanted, by id. Raises CloudError.

        The platform's temporary servers stand in the list but not always in its `count`, so a full page is never the
        last. `offset` is a page number, from 1.
        """
        found: dict[str, Server] = {}
        seen: set[str] = set()
        page, whole = 0, False
        for page in range(1, LIST_PAGES + 1):
            total, shown, servers = await self._page(page, wanted)
            fresh = [server_id for server_id in shown if server_id not in seen]
            seen.update(shown)
            found.update(servers)
            short = len(shown) < LIST_PAGE and (total is None or len(seen) >= total)
            whole = not fresh or short
            if whole or (wanted is not None and len(found) == len(wanted)):
                break
        # A walk that found all that it wanted early says only that there are so many pages at least.
        self.pages = page if whole else max(page, self.pages)
        return found

    async def _page(
        self, page: int, wanted: frozenset[str] | None, ids: Sequence[str] = ()
    ) -> tuple[int | None, Sequence[str], dict[str, Server]]:
        about = f"page {page} of the server list"
        params = {"limit": str(LIST_PAGE), "offset": str(page)}
        if ids:
            params["server_id"] = ",".join(ids)
        answer = await self._session.read(Read("list", self._origin, self._path, about, params))
        told_at = answer.told_at

        def parse(fields: Fields) -> tuple[int | None, Sequence[str], dict[str, Server]]:
            # Of a server that is not there, a list by ids has an entry with its id and a fault alone.
            entries = [(need(entry, "id"), entry) for entry in parts(fields, "servers") if not ids or "status" in entry]
            servers = {
                own: read_server(entry, answer.secrets, answer.left, told_at)
                for own, entry in entries
                if wanted is None or own in wanted
            }
            return number(fields, "count"), [own for own, _ in entries], servers

        return parsed(about, answer, parse)
