"""Where a cloud is, by its profile or its region, for those who have no catalog yet or never get one.

Sources: the vendor profiles of openstacksdk, the regions of the vendors' SDKs, and the endpoint pages of both clouds.
"""

import importlib
import re
from collections.abc import Mapping
from typing import Protocol, cast

from fleetos.cloud.addresses import Origin, parse_origin

# What `profile` stands for: the address of IAM, and the region if there is just one.
PROFILES: Mapping[str, tuple[str, str | None]] = {
    "otc": ("https://iam.{region_name}.otc.t-systems.com/v3", None),
    "otc-swiss": ("https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3", "eu-ch2"),
}
_NAME = re.compile(r"[a-z0-9-]{1,63}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_OTC = re.compile("eu-de|eu-nl")
_HUAWEI = re.compile("(?:cn|ap|la|na|sa|af|me|ae|tr|my|ru)-[a-z]+-[0-9]+|eu-west-101")
_IAM_NAMES = ("iam.", "iam-pub.")


class _Vendors(Protocol):
    """What is used of openstack.config.vendors, with types."""

    def profiles(self) -> list[str]: ...
    def get_profile(self, profile_name: str) -> Mapping[str, object] | None: ...


def is_region(text: str) -> bool:
    """Return whether a text can be a region: anything else in an address would lead to another host."""
    return _REGION.fullmatch(text) is not None


def vendor_profile(name: str) -> tuple[str, str | None] | None:
    """Return address of IAM and only region of a profile that openstacksdk knows, None without it or for others.

    None are those that it would load from the network, and those of clouds that have ended.
    """
    try:
        vendors = cast("_Vendors", importlib.import_module("openstack.config.vendors"))
    except ImportError:
        return None
    if not _NAME.fullmatch(name) or name not in vendors.profiles():
        return None
    profile = vendors.get_profile(name) or {}
    if profile.get("status") == "shutdown":
        # Nobody knows who has its names by now.
        return None
    auth, regions = profile.get("auth"), profile.get("regions")
    address = cast("Mapping[str, object]", auth).get("auth_url") if isinstance(auth, Mapping) else None
    listed = cast("list[object]", regions) if isinstance(regions, list) else []
    only = listed[0] if len(listed) == 1 and isinstance(listed[0], str) else None
    return (address, only) if isinstance(address, str) else None


def iam_of(region: str) -> str | None:
    """Return the address of IAM for a region of a known cloud, None for others."""
    if region == "eu-ch2":
        return PROFILES["otc-swiss"][0]
    home = _home_of(region)
    return f"https://iam.{home}/v3" if home is not None else None


def origin_of(service: str, region: str | None, auth_url: str | None) -> Origin | None:
    """Return where a service is without a catalog, None if nobody can say.

    Beside IAM, when its address names the region, so that every domain of a cloud is known by one address. Else by the
    region. On this machine everything is at one address: that is a simulated cloud.
    """
    iam = parse_origin(auth_url, "auth_url", insecure_http=True) if auth_url is not None else None
    if iam is not None and iam.loopback:
        return iam
    if region is None:
        return None
    home = _home_of(region)
    if iam is not None:
        beside = [iam.host.removeprefix(name) for name in _IAM_NAMES if iam.host.startswith(f"{name}{region}.")]
        home = beside[0] if beside else home
    return Origin("https", f"{service}.{home}") if home is not None else None


def _home_of(region: str) -> str | None:
    if _OTC.fullmatch(region):
        return f"{region}.otc.t-systems.com"
    if region == "eu-ch2":
        return "eu-ch2.sc.otc.t-systems.com"
    if region == "eu-west-0":
        return "eu-west-0.prod-cloud-ocb.orange-business.com"
    return f"{region}.myhuaweicloud.com" if _HUAWEI.fullmatch(region) else None
