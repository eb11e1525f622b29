"""Changes the OS of a fleet with the vendor's SDK and a pool of threads: `python sdk_script.py JOB.json`.

The same way as asyncio_script.py. Credentials come from OS_*. Each request is signed with an access key, as the SDK
always does it, and carries a token as well, since the simulated cloud takes nothing else.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

TRIES = 3
READ_TRIES = 3

# The SDK comes without types.
ecs: Any = importlib.import_module("huaweicloudsdkecs.v2")
credentials: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials")
errors: Any = importlib.import_module("huaweicloudsdkcore.exceptions.exceptions")
config: Any = importlib.import_module("huaweicloudsdkcore.http.http_config")


def with_token(token: str, project: str) -> Any:
    """What the SDK asks to authenticate a request: a token in place of the signature, which the cloud would check."""
    made: Any = credentials.BasicCredentials("any-access-key", "any-secret-key", project)
    sign = made.sign_request

    def signed_with_token(request: Any) -> Any:
        # The SDK signs nothing that has this header already.
        request.header_params["Authorization"] = "none"
        signed = sign(request)
        del signed.header_params["Authorization"]
        signed.header_params["X-Auth-Token"] = token
        return signed

    made.sign_request = signed_with_token
    return made


class ChangeFailed(Exception):
    """The server was not changed, as far as this script can tell."""


class Fleet:
    """The servers of a job, and the client that changes them."""

    def __init__(self, client: Any, job: Mapping[str, Any]) -> None:
        self._client = client
        self._job = job

    def change_all(self) -> int:
        """How many servers could not be changed."""
        with ThreadPoolExecutor(self._job["concurrency"]) as threads:
            return list(threads.map(self._change_with_tries, self._job["servers"])).count(False)

    def _change_with_tries(self, server_id: str) -> bool:
        for attempt in range(1, TRIES + 1):
            try:
                self._change(server_id)
            except (ChangeFailed, errors.SdkException) as error:
                sys.stderr.write(f"{server_id}, try {attempt}: {error!r}\n")
                time.sleep(self._job["again_s"])
            else:
                return True
        return False

    def _change(self, server_id: str) -> None:
        server = self._server(server_id)
        if server.image.id == self._job["image_id"] and server.status == "ACTIVE":
            return
        if server.status != "SHUTOFF":
            stop = ecs.BatchStopServersOption(servers=[ecs.ServerId(id=server_id)], type="SOFT")
            body = ecs.BatchStopServersRequestBody(os_stop=stop)
            self._follow(self._client.batch_stop_servers(ecs.BatchStopServersRequest(body=body)).job_id)
        change = ecs.ChangeServerOsWithCloudInitOption(keyname=self._job["key_name"], imageid=self._job["image_id"])
        body = ecs.ChangeServerOsWithCloudInitRequestBody(os_change=change)
        request = ecs.ChangeServerOsWithCloudInitRequest(server_id=server_id, body=body)
        self._follow(self._client.change_server_os_with_cloud_init(request).job_id)
        server = self._server(server_id)
        if server.image.id != self._job["image_id"] or server.status != "ACTIVE":
            raise ChangeFailed(f"is {server.status} with image {server.image.id}")

    def _follow(self, job_id: str) -> None:
        while True:
            time.sleep(self._job["poll_s"])
            job = self._read(self._client.show_job, ecs.ShowJobRequest(job_id=job_id))
            if job.status == "SUCCESS":
                return
            if job.status == "FAIL":
                raise ChangeFailed(f"{job.error_code} {job.fail_reason}")

    def _server(self, server_id: str) -> Any:
        return self._read(self._client.show_server, ecs.ShowServerRequest(server_id=server_id)).server

    def _read(self, method: Any, request: Any) -> Any:
        for attempt in range(1, READ_TRIES + 1):
            try:
                return method(request)
            except errors.ConnectionException:
                if attempt == READ_TRIES:
                    raise
                time.sleep(self._job["poll_s"])
        raise AssertionError


def login(base_url: str) -> tuple[str, str]:
    """A token, and the id of the project."""
    user = {"name": os.environ["OS_USERNAME"], "password": os.environ["OS_PASSWORD"]}
    identity = {
        "methods": ["password"],
        "password": {"user": {**user, "domain": {"name": os.environ["OS_USER_DOMAIN_NAME"]}}},
    }
    auth = {"auth": {"identity": identity, "scope": {"project": {"name": os.environ["OS_PROJECT_NAME"]}}}}
    answer = httpx.post(f"{base_url}/v3/auth/tokens", json=auth)
    return answer.headers["X-Subject-Token"], answer.json()["token"]["project"]["id"]


def main(job: Mapping[str, Any]) -> int:
    """The exit code."""
    base_url = os.environ["OS_AUTH_URL"].removesuffix("/v3")
    settings = config.HttpConfig(timeout=(10, 30), pool_maxsize=job["concurrency"])
    builder = ecs.EcsClient.new_builder().with_http_config(settings).with_endpoint(base_url)
    client = builder.with_credentials(with_token(*login(base_url))).build()
    failed = Fleet(client, job).change_all()
    sys.stdout.write(f"{len(job['servers']) - failed} changed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
