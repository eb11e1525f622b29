"""Signatures: the vectors of the vendor, and the vendor's own signer beside ours. What the cloud makes of it is tested
over HTTP in tests/contract/test_access_keys.py."""

import importlib
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.cloud.auth.signature import Signable, authorization, canonical_request
from tests.support.seeded_examples import examples

PROJECT = "0123456789abcdef0123456789abcdef"
KEY, SECRET = "AKEXAMPLEFLEETOS0001", "SKexampleFleetOsSecretKey0123456789abcdEFG"
HOST = "ecs.eu-de.otc.t-systems.com"
DATE = "20240102T030405Z"
DATED = {"host": HOST, "x-sdk-date": DATE}
JSON = {"content-type": "application/json"}
OWN = {"x-project-id": PROJECT}
CHANGE = b'{"os-change":{"imageid":"e215580f-73ad-429d-b6f2-5433947433b0","keyname":"KeyPair-350b"}}'
SUBMIT = Signable(
    "POST",
    f"/v2/{PROJECT}/cloudservers/b37fd80e-ac67-4d02-b9f1-9891c9c0fabf/changeos",
    {**DATED, **JSON, **OWN},
    CHANGE,
)
# The query as it may be sent, in another order and spelling than the signed one.
LIST = Signable(
    "GET",
    f"/v1/{PROJECT}/cloudservers/detail?offset=1&limit=200&not-tags=__type_baremetal&name=web%2001/%c3%a9~*",
    {**DATED, **OWN, "x-security-token": "TOKENvalue=="},
)
JOB = Signable("GET", f"/v1/{PROJECT}/jobs/ff80808288d41e1b018990260955686a", {**DATED, **JSON})
# The worked example of the vendor's guide.
GUIDE = Signable(
    "GET",
    "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
    {"host": "service.region.example.com", "x-sdk-date": "20191115T033655Z", **JSON},
)
GUIDE_KEY, GUIDE_SECRET = "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"


def test_the_canonical_request_of_a_change() -> None:
    assert canonical_request(SUBMIT) == (
        f"POST\n/v2/{PROJECT}/cloudservers/b37fd80e-ac67-4d02-b9f1-9891c9c0fabf/changeos/\n\n"
        f"content-type:application/json\nhost:{HOST}\nx-project-id:{PROJECT}\nx-sdk-date:{DATE}\n\n"
        "content-type;host;x-project-id;x-sdk-date\n"
        "d12cdbafc57882231d2a2a813c5bc47d5bcfbcb72c71838c449f1797a34b67e8"
    )


@pytest.mark.parametrize(
    ("access", "secret", "request_", "names", "signature"),
    [
        (
            KEY,
            SECRET,
            SUBMIT,
            "content-type;host;x-project-id;x-sdk-date",
            "465cc77d1c1e0003e899f9bc634e7ca4c0cf67565d30815601faed9bd5281b3e",
        ),
        (
            KEY,
            SECRET,
            LIST,
            "host;x-project-id;x-sdk-date;x-security-token",
            "01d3d0fdf8af84a16bf0aca61bc449c8cb499f4153095340acffd8519fbcc66d",
        ),
        (
            KEY,
            SECRET,
            JOB,
            "content-type;host;x-sdk-date",
            "27c2ecc2b88ce4c1135287e38ceb578cd33c5f33febe5b620f966b0db608eee2",
        ),
        (
            GUIDE_KEY,
            GUIDE_SECRET,
            GUIDE,
            "content-type;host;x-sdk-date",
            "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
        ),
    ],
    ids=["change", "list", "job", "guide"],
)
def test_a_signature(access: str, secret: str, request_: Signable, names: str, signature: str) -> None:
    told = authorization(access, secret, request_)
    assert told == f"SDK-HMAC-SHA256 Access={access}, SignedHeaders={names}, Signature={signature}"


def vendors(method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes) -> str:
    """The header that the signer of the vendor's SDK makes."""
    signer: Any = importlib.import_module("huaweicloudsdkcore.signer.signer").Signer
    request: Any = importlib.import_module("huaweicloudsdkcore.sdk_request").SdkRequest
    key: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials").BasicCredentials(KEY, SECRET)
    asked = request(method, "https", HOST, path, "", query, dict(headers), body)
    return signer(key).sign(asked).header_params["Authorization"]


letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
extra = st.dictionaries(st.sampled_from(["x-project-id", "x-security-token"]), header_values)


@examples(60)
@given(
    st.sampled_from(["GET", "POST", "delete"]),
    st.lists(letters, max_size=4),
    st.lists(st.tuples(letters.filter(bool), letters), max_size=5),
    extra,
    st.binary(max_size=40),
)
def test_the_vendors_signer_signs_the_same(
    method: str, segments: list[str], query: list[tuple[str, str]], more: dict[str, str], body: bytes
) -> None:
    path = "/" + "/".join(quote(one, safe="") for one in segments)
    headers = {**DATED, **more}
    target = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
    ours = authorization(KEY, SECRET, Signable(method, target, headers, body))
    assert ours == vendors(method, path, query, headers, body)
