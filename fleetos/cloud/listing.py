"""The server list with details, page by page (ECS API, "listing details about ECSs")."""

from collections.abc import Sequence

from fleetos.cloud.addresses import Origin
from fleetos.cloud.fields import Fields, need, number, parts
from fleetos.cloud.pictures import read_server
from fleetos.cloud.reads import parsed
from fleetos.cloud.session import Read, Session
from fleetos.limits import LIST_PAGE, LIST_PAGES
from fleetos.model.inventory import Server


class ServerList:
    """The list of one project's servers. `pages` is how many the last walk took, 0 before the first."""

    def __init__(self, session: Session, origin: Origin, project_id: str) -> None:
        self._session = session
        self._origin = origin
        self._path = f"/v1/{project_id}/cloudservers/detail"
        self.pages = 0

    async def walk(self, wanted: frozenset[str] | None = None) -> dict[str, Server]:
        """Return the servers of the list, or those of them that are wanted, by id. Raises CloudError.

        The platform's temporary servers stand in the list but not always in its `count`, so a full page is never the
        last. `offset` is a page number, from 1.
        """
        found: dict[str, Server] = {}
        seen: set[str] = set()
        page = 0
        for page in range(1, LIST_PAGES + 1):
            total, shown, servers = await self._page(page, wanted)
            fresh = [server_id for server_id in shown if server_id not in seen]
            seen.update(shown)
            found.update(servers)
            short = len(shown) < LIST_PAGE and (total is None or len(seen) >= total)
            if not fresh or short or (wanted is not None and len(found) == len(wanted)):
                break
        self.pages = page
        return found

    async def _page(
        self, page: int, wanted: frozenset[str] | None
    ) -> tuple[int | None, Sequence[str], dict[str, Server]]:
        about = f"page {page} of the server list"
        params = {"limit": str(LIST_PAGE), "offset": str(page)}
        answer = await self._session.read(Read("list", self._origin, self._path, about, params))
        told_at = answer.told_at

        def parse(fields: Fields) -> tuple[int | None, Sequence[str], dict[str, Server]]:
            entries = [(need(entry, "id"), entry) for entry in parts(fields, "servers")]
            servers = {
                own: read_server(entry, answer.secrets, answer.left, told_at)
                for own, entry in entries
                if wanted is None or own in wanted
            }
            return number(fields, "count"), [own for own, _ in entries], servers

        return parsed(about, answer, parse)
