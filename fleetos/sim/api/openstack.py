"""Native OpenStack endpoints, for OpenStack clients: discovery and reads.

Sources: ECS API, "native OpenStack Nova APIs"; IMS API, "querying images (native OpenStack)" and "querying API
versions"; IAM API, "querying Keystone API version information" and "querying a permanent access key".
"""

import json
from typing import cast
from urllib.parse import urlencode

from fleetos.sim.api.access import ACCESS_KEY
from fleetos.sim.api.reads import PAGE_MAX, ReadQuery, ReadResult, matching_images, page_after, parse_number
from fleetos.sim.wire.error_codes import refusal
from fleetos.sim.wire.openstack_types import CredentialShown
from fleetos.sim.world.servers import format_time_us
from fleetos.sim.world.world import World

# Keys of a server that Nova does not know.
_VENDOR_KEYS = frozenset({"enterprise_project_id", "sys_tags"})
_UPDATED = "2026-01-01T00:00:00Z"
Json = dict[str, object]


def servers(world: World, query: ReadQuery) -> ReadResult:
    """Return a page of servers in the format of Nova."""
    limit = parse_number(query.parameters.get("limit"), PAGE_MAX)
    if limit is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", form="nova", message="limit is not valid.")
    matches = [server for server in world.servers.values() if server.vm_state != "deleted"]
    if name := query.parameters.get("name"):
        matches = [server for server in matches if name in server.spec.name]
    if status := query.parameters.get("status"):
        matches = [server for server in matches if server.status == status]
    page = page_after(matches, query.parameters.get("marker", ""), limit, lambda server: server.id)
    project_url = f"{query.base_url}/v2.1/{world.project_id}"
    content: Json = {
        "servers": [
            _to_nova_server(json.loads(server.snapshot_at(query.now - query.stale_s)), project_url) for server in page
        ]
    }
    if page and page[-1] is not matches[-1]:
        next_query = urlencode({**query.parameters, "limit": limit, "marker": page[-1].id})
        content["servers_links"] = [{"rel": "next", "href": f"{project_url}/servers/detail?{next_query}"}]
    return json.dumps(content)


def _to_nova_server(shown: Json, project_url: str) -> Json:
    """Convert a server from the format of the ECS API to that of Nova."""
    native = {key: value for key, value in shown.items() if key not in _VENDOR_KEYS}
    # Nova omits the key instead of showing null.
    if native["fault"] is None:
        del native["fault"]
    image_id = cast("Json", shown["image"])["id"]
    flavor_id = cast("Json", shown["flavor"])["id"]
    volumes = cast("list[Json]", shown["os-extended-volumes:volumes_attached"])
    networks = cast("dict[str, list[Json]]", shown["addresses"])
    attached = [
        {"id": volume["id"], "delete_on_termination": volume["delete_on_termination"] == "true"} for volume in volumes
    ]
    return {
        **native,
        "image": {"id": image_id, "links": [_link("bookmark", f"{project_url}/images/{image_id}")]} if image_id else "",
        "flavor": {"id": flavor_id, "links": [_link("bookmark", f"{project_url}/flavors/{flavor_id}")]},
        "links": [_link("self", f"{project_url}/servers/{shown['id']}")],
        "os-extended-volumes:volumes_attached": attached,
        "addresses": {
            network: [{**volume, "version": int(str(volume["version"]))} for volume in addresses]
            for network, addresses in networks.items()
        },
    }


def images(world: World, query: ReadQuery) -> ReadResult:
    """Return a page of images in the format of Glance."""
    limit = parse_number(query.parameters.get("limit"), 500)
    if limit is None or limit < 0:
        return refusal("Ecs.0005", form="nova", message="limit is not valid.")
    matches = matching_images(world, query.parameters)
    page = page_after(matches, query.parameters.get("marker", ""), limit, lambda image: str(image["id"]))
    content: Json = {"images": page, "schema": "/v2/schemas/images", "first": "/v2/images"}
    if page and page[-1] is not matches[-1]:
        next_query = urlencode({**query.parameters, "limit": limit, "marker": str(page[-1]["id"])})
        content["next"] = f"/v2/images?{next_query}"
    return json.dumps(content)


def credential(world: World, query: ReadQuery) -> ReadResult:
    """Return an access key without its secret (IAM, "querying a permanent access key"); temporary keys are unknown."""
    if query.resource_id != ACCESS_KEY:
        return refusal("IAM.0004", form="nova", message="The access key could not be found.")
    created = format_time_us(world.born_at)
    shown: CredentialShown = {
        "user_id": world.user_id,
        "access": query.resource_id,
        "status": "active",
        "create_time": created,
        "last_use_time": created,
        "description": "",
    }
    return json.dumps({"credential": shown})


def versions(world: World, query: ReadQuery) -> ReadResult:
    """Return the versions of the image API: of all services at this address, only Glance is discovered like this."""
    del world
    version = {"id": "v2.5", "status": "CURRENT", "links": [_link("self", f"{query.base_url}/v2/")]}
    return json.dumps({"versions": [version]})


def version(world: World, query: ReadQuery) -> ReadResult:
    """Return the description of one API version: v3 of Keystone or v2.1 of Nova."""
    del world
    links = [_link("self", f"{query.base_url}/{query.resource_id}/")]
    match query.resource_id:
        case "v3":
            fields: Json = {"id": "v3.6", "status": "stable", "media-types": _media_types("identity", "v3")}
        case "v2.1":
            fields = {"id": "v2.1", "status": "CURRENT", "media-types": _media_types("compute", "v2.1")}
            fields |= {"version": "2.60", "min_version": "2.1"}
        case _:
            return refusal("APIGW.0101")
    return json.dumps({"version": {**fields, "updated": _UPDATED, "links": links}})


def _media_types(service: str, version: str) -> list[dict[str, str]]:
    return [{"base": "application/json", "type": f"application/vnd.openstack.{service}+json;version={version[1:]}"}]


def _link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href}
