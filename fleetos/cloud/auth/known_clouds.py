"""Endpoints of known clouds, by profile or region, before a login or without a catalog.

Sources: the vendor profiles of openstacksdk, the regions of the vendors' SDKs, and the endpoint pages of both clouds.
"""

import re
from collections.abc import Mapping

from fleetos.cloud.http.addresses import Origin, parse_origin

# Profiles as openstacksdk defines them, except that the second address lacks its scheme there.
PROFILES: Mapping[str, Mapping[str, object]] = {
    "otc": {"auth": {"auth_url": "https://iam.{region_name}.otc.t-systems.com/v3"}, "regions": ["eu-de", "eu-nl"]},
    "otc-swiss": {"auth": {"auth_url": "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3"}, "regions": ["eu-ch2"]},
}
_NAME = re.compile(r"[a-z0-9-]{1,63}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
# Domains of the clouds, and their regions: a service is at SERVICE.REGION.DOMAIN. Without an address of IAM, a region
# belongs to the first match. Huawei Cloud Europe uses `.eu`; its SDK lists the region under `.com`.
_CLOUDS: Mapping[str, re.Pattern[str]] = {
    "otc.t-systems.com": re.compile("eu-de|eu-nl"),
    "sc.otc.t-systems.com": re.compile("eu-ch2"),
    "prod-cloud-ocb.orange-business.com": re.compile("eu-west-0"),
    "myhuaweicloud.eu": re.compile("eu-west-10[0-9]"),
    "myhuaweicloud.com": re.compile("(?:cn|ap|la|na|sa|af|me|ae|tr|my|ru|eu)-[a-z]+-[0-9]+"),
}
_IAM_NAMES = ("iam.", "iam-pub.")


def is_region(text: str) -> bool:
    """Return whether a text is a valid region name: other letters in an address could lead to another host."""
    return _REGION.fullmatch(text) is not None


def vendor_profile(name: str) -> Mapping[str, object] | None:
    """Return a profile that ships with openstacksdk, None if there is none or openstacksdk is not installed.

    Return None also for profiles that it would load from the network, and for clouds that were shut down.
    """
    try:
        from openstack.config import vendors
    except ImportError:
        return None
    if not _NAME.fullmatch(name) or name not in vendors.profiles():
        return None
    profile = vendors.get_profile(name) or {}
    if profile.get("status") == "shutdown" or "profile" in profile:
        # Somebody else may own the domain of a cloud that was shut down.
        return None
    return profile


def iam_of(region: str) -> str | None:
    """Return the address of IAM for a region of a known cloud, None for other regions."""
    if region == "eu-ch2":
        return "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3"
    domain = domain_of(region)
    return f"https://iam.{region}.{domain}/v3" if domain is not None else None


def derive_origin(service: str, region: str | None, auth_url: str | None) -> Origin | None:
    """Derive the origin of a service without a catalog; return None if that is impossible.

    The host is in the domain of IAM: in the region that IAM's address names, or in any region of a known cloud with
    that domain. If `auth_url` is given, no other domain is guessed, since a signed request identifies the user. On this
    machine every service is at the address of IAM.
    """
    iam = parse_origin(auth_url, "auth_url", insecure_http=True) if auth_url is not None else None
    if iam is not None and iam.loopback:
        return iam
    if region is None or not is_region(region):
        return None
    domain = domain_of(region) if iam is None else _domain_beside(iam.host, region)
    return Origin("https", f"{service}.{region}.{domain}") if domain is not None else None


def domain_of(region: str) -> str | None:
    """Return the domain of the cloud that a region belongs to, None for an unknown region."""
    return next((domain for domain, regions in _CLOUDS.items() if regions.fullmatch(region)), None)


def _domain_beside(iam_host: str, region: str) -> str | None:
    """Return the domain of a region's services, if the host of IAM is iam.REGION.DOMAIN or iam.DOMAIN; else None."""
    suffix = next((iam_host.removeprefix(name) for name in _IAM_NAMES if iam_host.startswith(name)), "")
    if suffix.startswith(f"{region}."):
        return suffix.removeprefix(f"{region}.")
    for domain, regions in _CLOUDS.items():
        region_of_iam = suffix.removesuffix(f".{domain}")
        if regions.fullmatch(region) and (
            suffix == domain or (region_of_iam != suffix and regions.fullmatch(region_of_iam))
        ):
            return domain
    return None
