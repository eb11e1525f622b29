"""The native OpenStack reads of the simulated cloud, by which clients of OpenStack find and read it.

Sources: ECS API, "native OpenStack Nova APIs"; IMS API, "querying images (native OpenStack)" and "querying API
versions"; IAM API, "querying Keystone API version information", and what IAM says of an access key.
"""

import json
from typing import cast
from urllib.parse import urlencode

from fleetos.sim.api.access import ACCESS_KEY
from fleetos.sim.api.reads import PAGE_MAX, Answer, ReadQuery, after, images_asked_for, number
from fleetos.sim.wire.error_codes import refusal
from fleetos.sim.wire.openstack_types import CredentialShown
from fleetos.sim.world.servers import stamp_us
from fleetos.sim.world.world import World

# Keys of a server that are the vendor's own.
_VENDOR_KEYS = frozenset({"enterprise_project_id", "sys_tags"})
_UPDATED = "2026-01-01T00:00:00Z"
Json = dict[str, object]


def servers(world: World, look: ReadQuery) -> Answer:
    """Return a page of servers as Nova shows them."""
    limit = number(look.query.get("limit"), PAGE_MAX)
    if limit is None or not 1 <= limit <= PAGE_MAX:
        return refusal("Ecs.0005", form="nova", message="limit is not valid.")
    found = [server for server in world.servers.values() if server.vm_state != "deleted"]
    if name := look.query.get("name"):
        found = [server for server in found if name in server.body.name]
    if status := look.query.get("status"):
        found = [server for server in found if server.status == status]
    page = after(found, look.query.get("marker", ""), limit, lambda server: server.id)
    own = f"{look.base_url}/v2.1/{world.project_id}"
    content: Json = {"servers": [_server(json.loads(one.frame(look.now - look.stale_s)), own) for one in page]}
    if page and page[-1] is not found[-1]:
        query = urlencode({**look.query, "limit": limit, "marker": page[-1].id})
        content["servers_links"] = [{"rel": "next", "href": f"{own}/servers/detail?{query}"}]
    return json.dumps(content)


def _server(shown: Json, own: str) -> Json:
    """Return a server as Nova shows it, from what the ECS API shows of it."""
    native = {key: value for key, value in shown.items() if key not in _VENDOR_KEYS}
    # Nova has a fault only where there is one.
    if native["fault"] is None:
        del native["fault"]
    image_id = cast("Json", shown["image"])["id"]
    flavor_id = cast("Json", shown["flavor"])["id"]
    volumes = cast("list[Json]", shown["os-extended-volumes:volumes_attached"])
    networks = cast("dict[str, list[Json]]", shown["addresses"])
    attached = [{"id": one["id"], "delete_on_termination": one["delete_on_termination"] == "true"} for one in volumes]
    return {
        **native,
        "image": {"id": image_id, "links": [_link("bookmark", f"{own}/images/{image_id}")]} if image_id else "",
        "flavor": {"id": flavor_id, "links": [_link("bookmark", f"{own}/flavors/{flavor_id}")]},
        "links": [_link("self", f"{own}/servers/{shown['id']}")],
        "os-extended-volumes:volumes_attached": attached,
        "addresses": {
            network: [{**one, "version": int(str(one["version"]))} for one in addresses]
            for network, addresses in networks.items()
        },
    }


def images(world: World, look: ReadQuery) -> Answer:
    """Return a page of images as Glance shows them."""
    limit = number(look.query.get("limit"), 500)
    if limit is None or limit < 0:
        return refusal("Ecs.0005", form="nova", message="limit is not valid.")
    found = images_asked_for(world, look.query)
    page = after(found, look.query.get("marker", ""), limit, lambda image: str(image["id"]))
    content: Json = {"images": page, "schema": "/v2/schemas/images", "first": "/v2/images"}
    if page and page[-1] is not found[-1]:
        query = urlencode({**look.query, "limit": limit, "marker": str(page[-1]["id"])})
        content["next"] = f"/v2/images?{query}"
    return json.dumps(content)


def credential(world: World, look: ReadQuery) -> Answer:
    """Return an access key without its secret (IAM, "querying a permanent access key"): a temporary one is none."""
    if look.at_id != ACCESS_KEY:
        return refusal("IAM.0004", form="nova", message="The access key could not be found.")
    born = stamp_us(world.born_at)
    shown: CredentialShown = {
        "user_id": world.user_id,
        "access": look.at_id,
        "status": "active",
        "create_time": born,
        "last_use_time": born,
        "description": "",
    }
    return json.dumps({"credential": shown})


def versions(world: World, look: ReadQuery) -> Answer:
    """Return the versions of the image API: all services have one address here, and none other is found this way."""
    del world
    version = {"id": "v2.5", "status": "CURRENT", "links": [_link("self", f"{look.base_url}/v2/")]}
    return json.dumps({"versions": [version]})


def version(world: World, look: ReadQuery) -> Answer:
    """Return what one version of an API is: v3 of Keystone, or v2.1 of Nova."""
    del world
    links = [_link("self", f"{look.base_url}/{look.at_id}/")]
    match look.at_id:
        case "v3":
            own: Json = {"id": "v3.6", "status": "stable", "media-types": _media("identity", "v3")}
        case "v2.1":
            own = {"id": "v2.1", "status": "CURRENT", "media-types": _media("compute", "v2.1")}
            own |= {"version": "2.60", "min_version": "2.1"}
        case _:
            return refusal("APIGW.0101")
    return json.dumps({"version": {**own, "updated": _UPDATED, "links": links}})


def _media(service: str, version: str) -> list[dict[str, str]]:
    return [{"base": "application/json", "type": f"application/vnd.openstack.{service}+json;version={version[1:]}"}]


def _link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href}
