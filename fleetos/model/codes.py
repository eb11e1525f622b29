"""Error codes of the cloud as data, and the class of each answer to a write.

The table follows the appendix "error codes" of the ECS API reference and the error page of the API gateway. A code
proves something only together with a status that it is documented with: HTTP 400 is used for almost everything, and a
known code under a 5xx may come from a gateway that gave up while its backend went on with the request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fleetos.limits import LATER_WAIT_S
from fleetos.model.inventory import Delivered, Reply, Unanswered, Undelivered


class AnswerClass(StrEnum):
    """Class of an answer to a write, by what the answer proves."""

    ACCEPTED = "accepted"  # accepted: a 2xx with a job id
    FATAL = "fatal"  # not done; the request itself is refused
    STOP_RUN = "stop-run"  # not done; the cloud would refuse every other write of the run too
    UNAUTHENTICATED = "unauthenticated"  # not done; the token must be renewed
    GONE = "gone"  # not done; there is no such server
    LATER = "later"  # not done; it may succeed later
    THROTTLED = "throttled"  # not done; too many requests
    CONFLICT = "conflict"  # not done; the state of the server forbids it
    LOCKED = "locked"  # not done; somebody has locked the server
    NOT_SENT = "not-sent"  # the request never left this machine
    AMBIGUOUS = "ambiguous"  # done or not done: unknown


@dataclass(frozen=True, slots=True)
class Code:
    """One error code of the cloud."""

    code: str
    statuses: frozenset[int]
    """The HTTP statuses that the code is documented with."""
    write: AnswerClass
    """Class of an answer to a write with this code and one of `statuses`."""
    meaning: str
    """Explanation for an operator."""
    wait_s: float | None = None
    """Time to wait before the write is repeated; None: the caller decides."""
    read_again: bool = False
    """A read with this answer is worth repeating."""


# A backup of a system disk takes minutes (API reference: repeat after one to five).
_BACKUP_WAIT_S = 120.0
# The status that changeos sees lags behind the end of a stop by seconds (seen by a public client: 10 s).
_STATE_LAG_S = 10.0
# Documented wait for "other commands are being executed" (Ecs.0603).
_BUSY_WAIT_S = 60.0


def _fatal(code: str, meaning: str, *statuses: int) -> Code:
    return Code(code, frozenset(statuses or (400,)), AnswerClass.FATAL, meaning)


def _stop(code: str, meaning: str, status: int = 403) -> Code:
    return Code(code, frozenset({status}), AnswerClass.STOP_RUN, meaning)


def _later(code: str, meaning: str, wait_s: float = LATER_WAIT_S, *statuses: int) -> Code:
    return Code(code, frozenset(statuses or (400,)), AnswerClass.LATER, meaning, wait_s)


def _unknown(code: str, meaning: str, *, read_again: bool = True, status: int = 400) -> Code:
    return Code(code, frozenset({status}), AnswerClass.AMBIGUOUS, meaning, read_again=read_again)


_FATAL = (
    _fatal("Ecs.0000", "the request is not valid"),
    _fatal("Ecs.0005", "a parameter is not valid, or the flavor does not match the image"),
    _fatal("Ecs.0006", "a marketplace image without a product code"),
    _fatal("Ecs.0007", "the image's attributes do not allow it (not an ECS system disk image?)"),
    _fatal("Ecs.0008", "the flavor's attributes do not allow it"),
    _fatal("Ecs.0011", "the password is not complex enough"),
    _fatal("Ecs.0025", "EVS may not use KMS: the agency EVSAccessKMS is missing"),
    _fatal("Ecs.0030", "the server is frozen: pay what is owed for it, or ask the support desk why"),
    _fatal("Ecs.0031", "the image does not exist"),
    _fatal("Ecs.0032", "the image is not active"),
    _fatal("Ecs.0034", "the backup behind the full-ECS image does not exist"),
    _fatal("Ecs.0048", "the backup behind the full-ECS image is not available"),
    _fatal("Ecs.0058", "the third-party image is not permitted"),
    _fatal("Ecs.0074", "a Windows image is not permitted for this user"),
    _fatal("Ecs.0089", "the tag policy forbids it"),
    _fatal("Ecs.0090", "bring-your-own-licence is not supported in this region"),
    _fatal("Ecs.0105", "the server has no system disk; it must be recovered by hand"),
    _fatal("Ecs.0118", "too many servers in one call"),
    _fatal("Ecs.0119", "the KMS key of the encrypted disk is disabled"),
    _fatal("Ecs.0120", "a yearly or monthly server may not be rebuilt"),
    _fatal("Ecs.0314", "the key pair does not exist or belongs to another user (userid)"),
    _fatal("Ecs.0510", "a yearly or monthly server with a marketplace image cannot change its OS"),
    _fatal("Ecs.0912", "the encryption key of the disk is not valid"),
    _fatal("Ecs.7000", "the order could not be created"),
    _fatal("Common.0002", "the request body is empty"),
    _fatal("APIGW.0101", "the cloud does not offer this API here (wrong host, region or API version)", 404),
    _fatal("APIGW.0201", "the gateway finds the request bad or too large", 400, 413, 414, 494),
)
_STOP_RUN = (
    _stop("Ecs.0003", "no permission, no balance, or the account is frozen"),
    _stop("Ecs.0023", "the token belongs to another project than the address", 400),
    _stop("Ecs.0066", "the account is restricted: real-name authentication"),
    _stop("Ecs.0067", "the account is restricted: balance"),
    _stop("Ecs.0068", "the account is restricted: partner"),
    _stop("Ecs.0069", "the account is restricted: payment method"),
    _stop("Ecs.0070", "the account is restricted: budget"),
    _stop("Ecs.0071", "the account is suspended"),
    _stop("Ecs.0110", "the user lacks the permission"),
    _stop("Pdp.0001", "a policy does not allow the action"),
    _stop("Common.0018", "the project does not match the token", 400),
    _stop("APIGW.0302", "the user is on a block list"),
    _stop("APIGW.0306", "access to the API is denied"),
    _stop("APIGW.0402", "the IP address is not allowed"),
)
_UNAUTHENTICATED = tuple(
    Code(code, frozenset({401}), AnswerClass.UNAUTHENTICATED, meaning)
    for code, meaning in (
        ("Common.0013", "the token is not valid"),
        ("APIGW.0301", "the gateway does not accept the token or the signature"),
        ("APIGW.0303", "the gateway does not accept the app authentication"),
        ("APIGW.0305", "the gateway does not accept this kind of authentication"),
        ("APIGW.0307", "the token must be renewed, or belongs to another region"),
    )
)
_LATER = (
    _later("Ecs.0001", "the ECS quota is used up (a change needs a temporary server)"),
    _later("Ecs.0021", "the EVS disk quota is used up (a change needs a second disk for a while)"),
    _later("Ecs.0044", "the disk type is sold out"),
    _later("Ecs.0073", "the system disk is being backed up", _BACKUP_WAIT_S),
    _later("Ecs.0101", "the system disk is in an abnormal state"),
    _later("Ecs.0102", "a data disk is in an abnormal state"),
    _later("Ecs.0103", "a disk is not available"),
    _later("Ecs.0319", "the capacity of the flavor is used up"),
    _later("APIGW.0103", "the gateway has no backend for this API", LATER_WAIT_S, 400, 404),
    _later("APIGW.0104", "the gateway lacks a plug-in for this API", LATER_WAIT_S, 400, 404),
    _later("APIGW.0105", "the gateway lacks the backend's configuration", LATER_WAIT_S, 400, 404),
    _later("APIGW.0106", "the gateway's backend configuration is wrong", LATER_WAIT_S, 400, 404),
    Code(
        "Common.0024", frozenset({202}), AnswerClass.LATER, "the flow limit is exceeded", LATER_WAIT_S, read_again=True
    ),
)
_STATE = (
    Code("Ecs.0100", frozenset({400}), AnswerClass.CONFLICT, "the server's status does not allow it", _STATE_LAG_S),
    Code("Ecs.0603", frozenset({501}), AnswerClass.CONFLICT, "other commands are being executed", _BUSY_WAIT_S),
    Code("Ecs.0605", frozenset({400}), AnswerClass.LOCKED, "the server is locked"),
    Code("Ecs.0114", frozenset({404}), AnswerClass.GONE, "the server does not exist"),
    Code("Ecs.0614", frozenset({404}), AnswerClass.GONE, "the server does not exist"),
    # Not a code but the key of an error body (Nova API): the only other proof that a server is gone.
    Code("itemNotFound", frozenset({404}), AnswerClass.GONE, "it does not exist"),
    Code("APIGW.0308", frozenset({429}), AnswerClass.THROTTLED, "too many requests", read_again=True),
    # 503 in an older table of the vendor, 429 in the newer one.
    Code("Common.1503", frozenset({429, 503}), AnswerClass.THROTTLED, "too many requests at once", read_again=True),
)
_AMBIGUOUS = (
    _unknown("Ecs.0002", "the request could not be submitted: system exception"),
    _unknown("Ecs.0004", "the platform could not raise its own privileges"),
    _unknown("Ecs.0106", "network exception in the platform"),
    _unknown("Ecs.0202", "creating the system disk failed", read_again=False),
    _unknown("Ecs.0203", "creating a data disk failed", read_again=False),
    _unknown("Ecs.0204", "creating a disk failed", read_again=False),
    _unknown("Ecs.0205", "attaching a disk failed", read_again=False),
    _unknown("Ecs.0208", "updating the image's metadata failed", read_again=False),
    _unknown("Ecs.0217", "creating or attaching a NIC failed", read_again=False),
    _unknown("Ecs.0219", "creating the (temporary) server failed", read_again=False),
    _unknown("Ecs.0226", "starting the server failed; the change itself may have succeeded", read_again=False),
    _unknown("Ecs.0227", "restarting the server failed", read_again=False),
    _unknown("Ecs.0301", "the platform could not query the server"),
    _unknown("Ecs.0303", "the platform could not query the flavor"),
    _unknown("Ecs.0304", "the platform could not query the image"),
    *(_unknown(f"Ecs.{number:04}", "a query inside the platform failed") for number in (*range(306, 312), 313)),
    *(_unknown(f"Ecs.{number:04}", "a query inside the platform failed") for number in range(320, 324)),
    *(
        _unknown(f"Ecs.{number:04}", "rolling back failed; look at the server's disks", read_again=False)
        for number in range(401, 406)
    ),
    _unknown("Ecs.0501", "deleting the (temporary) server failed", read_again=False),
    _unknown("Ecs.0502", "deleting an IP address failed", read_again=False),
    _unknown("Ecs.0503", "querying the system disk failed"),
    _unknown("Ecs.0507", "deleting a NIC failed", read_again=False),
    _unknown("Ecs.0611", "the operation failed for some of the servers", read_again=False),
    _unknown("Ecs.0615", "internal error", status=500),
    _unknown("Ecs.1000", "a call inside the platform (Nova) failed"),
    _unknown("Ecs.1001", "the platform could not reach OpenStack"),
    _unknown("Ecs.1002", "OpenStack did not answer the platform in time"),
    _unknown("Ecs.1100", "the platform could not reach IAM"),
    _unknown("Ecs.1200", "the platform could not reach VPC"),
    _unknown("Ecs.1201", "VPC did not answer the platform in time"),
    _unknown("Ecs.1300", "EVS did not answer the platform in time"),
    _unknown("Common.0001", "system exception", status=500),
    _unknown("Common.0011", "the job id is not known", read_again=False),
    _unknown("Common.0020", "the job could not be repeated", read_again=False),
    _unknown("Common.0021", "a sub-job failed"),
    _unknown("Common.0022", "the job could not be submitted", read_again=False),
    _unknown("Common.0025", "the job could not be queried"),
    _unknown("Common.0999", "the job was terminated", read_again=False),
)

# Every known code, by its key (see `code_key`).
CODES: Mapping[str, Code] = {
    code.code.lower(): code for code in (*_FATAL, *_STOP_RUN, *_UNAUTHENTICATED, *_LATER, *_STATE, *_AMBIGUOUS)
}
# These statuses prove that the request was not carried out, whatever the code.
_BY_STATUS: Mapping[int, AnswerClass] = {
    401: AnswerClass.UNAUTHENTICATED,
    403: AnswerClass.STOP_RUN,
    409: AnswerClass.CONFLICT,
    429: AnswerClass.THROTTLED,
}


def code_key(code: str) -> str:
    """Return the key of a code in CODES: lower case, and `apigw.` for the gateway's other prefix `apig.`."""
    key = code.strip().lower()
    return f"apigw.{key.removeprefix('apig.')}" if key.startswith("apig.") else key


def known_code(code: str | None) -> Code | None:
    """Return the entry of a code in the cloud's spelling, None if the code is unknown."""
    return CODES.get(code_key(code)) if code else None


def meaning_of(code: str) -> str | None:
    """Return the explanation of a code for an operator, None if the code is unknown."""
    known = known_code(code)
    return known.meaning if known else None


def answer_class(reply: Reply) -> tuple[AnswerClass, float | None]:
    """Return the class of an answer to a write, and the seconds to wait before it is repeated if they are known."""
    match reply:
        case Undelivered():
            return AnswerClass.NOT_SENT, None
        case Unanswered():
            return AnswerClass.AMBIGUOUS, None
        case Delivered():
            return _delivered_class(reply)


def _delivered_class(reply: Delivered) -> tuple[AnswerClass, float | None]:
    if 200 <= reply.status < 300 and reply.job_id:
        return AnswerClass.ACCEPTED, None
    known = known_code(reply.code)
    documented = known is not None and reply.status in known.statuses
    waits_s = (known.wait_s if known and documented else None, reply.retry_after_s)
    wait_s = max((wait_s for wait_s in waits_s if wait_s is not None), default=None)
    if (by_status := _BY_STATUS.get(reply.status)) is not None:
        return by_status, wait_s
    if known is None or not documented:
        return AnswerClass.AMBIGUOUS, None
    return known.write, wait_s
