"""Changes the OS of a fleet with asyncio and httpx: `python asyncio_script.py JOB.json`, credentials from OS_*.

For each server, so many at a time: skip it if it has the image; stop it and follow the job of that; change it and
follow that job; look whether it runs the image. What fails is tried again twice, whoever runs it again skips what is
done. Reads are repeated when the connection breaks, writes are not.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

TRIES = 3
READ_TRIES = 3


class ChangeFailed(Exception):
    """The server was not changed, as far as this script can tell."""


class Fleet:
    """The servers of a job, and the client that changes them."""

    def __init__(self, client: httpx.AsyncClient, project: str, job: Mapping[str, Any]) -> None:
        self._client = client
        self._project = project
        self._job = job
        self._slots = asyncio.Semaphore(job["concurrency"])

    async def change_all(self) -> int:
        """How many servers could not be changed."""
        done = await asyncio.gather(*(self._change_with_tries(one) for one in self._job["servers"]))
        return done.count(False)

    async def _change_with_tries(self, server_id: str) -> bool:
        async with self._slots:
            for attempt in range(1, TRIES + 1):
                try:
                    await self._change(server_id)
                except (ChangeFailed, httpx.HTTPError) as error:
                    sys.stderr.write(f"{server_id}, try {attempt}: {error!r}\n")
                    await asyncio.sleep(self._job["again_s"])
                else:
                    return True
            return False

    async def _change(self, server_id: str) -> None:
        server = await self._server(server_id)
        if server["image"]["id"] == self._job["image_id"] and server["status"] == "ACTIVE":
            return
        if server["status"] != "SHUTOFF":
            stop = {"os-stop": {"type": "SOFT", "servers": [{"id": server_id}]}}
            await self._follow(await self._post("/v1/{}/cloudservers/action", stop))
        change = {"os-change": {"keyname": self._job["key_name"], "imageid": self._job["image_id"]}}
        await self._follow(await self._post(f"/v2/{{}}/cloudservers/{server_id}/changeos", change))
        server = await self._server(server_id)
        if server["image"]["id"] != self._job["image_id"] or server["status"] != "ACTIVE":
            raise ChangeFailed(f"is {server['status']} with image {server['image']['id']}")

    async def _follow(self, job_id: str) -> None:
        while True:
            await asyncio.sleep(self._job["poll_s"])
            job = await self._get(f"/v1/{{}}/jobs/{job_id}")
            if job["status"] == "SUCCESS":
                return
            if job["status"] == "FAIL":
                raise ChangeFailed(f"{job['error_code']} {job['fail_reason']}")

    async def _server(self, server_id: str) -> Any:
        return (await self._get(f"/v1/{{}}/cloudservers/{server_id}"))["server"]

    async def _get(self, path: str) -> Any:
        for attempt in range(1, READ_TRIES + 1):
            try:
                return _content(await self._client.get(path.format(self._project)))
            except httpx.TransportError:
                if attempt == READ_TRIES:
                    raise
                await asyncio.sleep(self._job["poll_s"])
        raise AssertionError

    async def _post(self, path: str, body: object) -> str:
        return _content(await self._client.post(path.format(self._project), json=body))["job_id"]


def _content(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise ChangeFailed(f"{answer.status_code} {answer.text}")
    return answer.json()


async def login(base_url: str) -> tuple[str, str]:
    """A token, and the id of the project."""
    user = {"name": os.environ["OS_USERNAME"], "password": os.environ["OS_PASSWORD"]}
    identity = {
        "methods": ["password"],
        "password": {"user": {**user, "domain": {"name": os.environ["OS_USER_DOMAIN_NAME"]}}},
    }
    auth = {"auth": {"identity": identity, "scope": {"project": {"name": os.environ["OS_PROJECT_NAME"]}}}}
    async with httpx.AsyncClient(base_url=base_url) as client:
        answer = await client.post("/v3/auth/tokens", json=auth)
    return answer.headers["X-Subject-Token"], _content(answer)["token"]["project"]["id"]


async def main(job: Mapping[str, Any]) -> int:
    """The exit code."""
    base_url = os.environ["OS_AUTH_URL"].removesuffix("/v3")
    token, project = await login(base_url)
    limits = httpx.Limits(max_connections=job["concurrency"], max_keepalive_connections=job["concurrency"])
    headers = {"X-Auth-Token": token}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits, timeout=30) as client:
        failed = await Fleet(client, project, job).change_all()
    sys.stdout.write(f"{len(job['servers']) - failed} changed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
