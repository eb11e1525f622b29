"""Where a cloud is, by its profile or its region, for those who have no catalog yet or never get one.

Sources: the vendor profiles of openstacksdk, the regions of the vendors' SDKs, and the endpoint pages of both clouds.
"""

import importlib
import re
from collections.abc import Mapping
from typing import Protocol, cast

from fleetos.cloud.http.addresses import Origin, parse_origin

# What `profile` stands for, as openstacksdk has it; the second address lacks its scheme there.
PROFILES: Mapping[str, Mapping[str, object]] = {
    "otc": {"auth": {"auth_url": "https://iam.{region_name}.otc.t-systems.com/v3"}, "regions": ["eu-de", "eu-nl"]},
    "otc-swiss": {"auth": {"auth_url": "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3"}, "regions": ["eu-ch2"]},
}
_NAME = re.compile(r"[a-z0-9-]{1,63}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
# The domains of the clouds, and their regions: a service is at SERVICE.REGION.DOMAIN. A region without an address of
# IAM is of the first that has it. Huawei Cloud Europe is `.eu` to its users; its SDK lists the region under `.com`.
_CLOUDS: Mapping[str, re.Pattern[str]] = {
    "otc.t-systems.com": re.compile("eu-de|eu-nl"),
    "sc.otc.t-systems.com": re.compile("eu-ch2"),
    "prod-cloud-ocb.orange-business.com": re.compile("eu-west-0"),
    "myhuaweicloud.eu": re.compile("eu-west-10[0-9]"),
    "myhuaweicloud.com": re.compile("(?:cn|ap|la|na|sa|af|me|ae|tr|my|ru|eu)-[a-z]+-[0-9]+"),
}
_IAM_NAMES = ("iam.", "iam-pub.")


class _Vendors(Protocol):
    """What is used of openstack.config.vendors, with types."""

    def profiles(self) -> list[str]: ...
    def get_profile(self, profile_name: str) -> Mapping[str, object] | None: ...


def is_region(text: str) -> bool:
    """Return whether a text can be a region: anything else in an address would lead to another host."""
    return _REGION.fullmatch(text) is not None


def vendor_profile(name: str) -> Mapping[str, object] | None:
    """Return a profile that openstacksdk knows, None without it or for others.

    None are those that it would load from the network, and those of clouds that have ended.
    """
    try:
        vendors = cast("_Vendors", importlib.import_module("openstack.config.vendors"))
    except ImportError:
        return None
    if not _NAME.fullmatch(name) or name not in vendors.profiles():
        return None
    profile = vendors.get_profile(name) or {}
    if profile.get("status") == "shutdown" or "profile" in profile:
        # Nobody knows who has the names of a cloud that has ended by now.
        return None
    return profile


def iam_of(region: str) -> str | None:
    """Return the address of IAM for a region of a known cloud, None for others."""
    if region == "eu-ch2":
        return "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3"
    domain = domain_of(region)
    return f"https://iam.{region}.{domain}/v3" if domain is not None else None


def origin_of(service: str, region: str | None, auth_url: str | None) -> Origin | None:
    """Return where a service is without a catalog, None if nobody can say.

    Beside IAM: in the region that its address names, or in any region of a known cloud that is at IAM's domain. No
    other domain than that of a given address is guessed, since requests show who asks. On this machine everything is
    at one address.
    """
    iam = parse_origin(auth_url, "auth_url", insecure_http=True) if auth_url is not None else None
    if iam is not None and iam.loopback:
        return iam
    if region is None or not is_region(region):
        return None
    domain = domain_of(region) if iam is None else _domain_beside(iam.host, region)
    return Origin("https", f"{service}.{region}.{domain}") if domain is not None else None


def domain_of(region: str) -> str | None:
    """Return the domain of the cloud that a region belongs to, None for an unknown one."""
    return next((domain for domain, regions in _CLOUDS.items() if regions.fullmatch(region)), None)


def _domain_beside(iam: str, region: str) -> str | None:
    """The domain of the services of a region, where the host of IAM is iam.REGION.DOMAIN, or iam.DOMAIN."""
    rest = next((iam.removeprefix(name) for name in _IAM_NAMES if iam.startswith(name)), "")
    if rest.startswith(f"{region}."):
        return rest.removeprefix(f"{region}.")
    for domain, regions in _CLOUDS.items():
        own = rest.removesuffix(f".{domain}")
        if regions.fullmatch(region) and (rest == domain or (own != rest and regions.fullmatch(own))):
            return domain
    return None
