"""How a scope is opened: by a password for tokens, by a token that is at hand, or by an access key."""

import math
from collections.abc import Sequence
from urllib.parse import quote

import httpx

from fleetos.clock import Clock
from fleetos.cloud.auth.credentials import AccessKey, Credentials, GivenToken, Password, is_project_id
from fleetos.cloud.auth.grant import Grant, read_given, read_grant, token_request
from fleetos.cloud.auth.request_auth import RequestAuth, SignatureAuth, TokenAuth, refusal_hint
from fleetos.cloud.http.classification import words
from fleetos.cloud.http.error_body import ErrorBody, parse_error_body
from fleetos.cloud.http.json_fields import Fields, InvalidJson, need, parse_object, part, parts, text
from fleetos.cloud.http.transport import HttpRequest, HttpResponse, Transport
from fleetos.cloud.rate.throttle import RequestClass, Throttle, throttled
from fleetos.errors import (
    AuthenticationFailed,
    CloudError,
    CloudUnreachable,
    PermissionDenied,
    UsageError,
)
from fleetos.limits import CANDIDATES_LISTED, READ_TIMEOUT_S, SMALL_ANSWER_BYTES

_REFUSED = (
    "check user name, password, user_domain_name, project and auth_url; it is not tried again, "
    "since repeated failures lock the account"
)
_OTHER = "ask IAM for a token of that project, or leave the project out"


class Login:
    """Asks IAM what the scope is granted.

    `iam` is its address as clouds.yaml has it, with or without the version; None is enough for an access key whose
    project is known.
    """

    def __init__(
        self, credentials: Credentials, iam: str | None, transport: Transport, throttle: Throttle, clock: Clock
    ) -> None:
        self._credentials = credentials
        self._iam = iam
        self._transport = transport
        self._throttle = throttle
        self._clock = clock

    async def ask(self) -> Grant:
        """Return what is granted, by at most one request; only a 429 is repeated, when the scope is open again.

        An access key whose project is known needs no request. Raises AuthenticationFailed when IAM refuses, NotSent,
        AnswerLost, CloudUnreachable for any other answer, and UsageError when the project is not the one asked for.
        """
        proof = self._credentials.proof
        try:
            match proof:
                case Password():
                    answer = await self._answer(self._by_password(proof))
                    return read_grant(answer.headers, answer.body)
                case GivenToken():
                    answer = await self._answer(self._about(proof))
                    grant = read_given(proof.text, answer.body, answer.told_at or self._clock.now())
                    return self._checked(grant)
                case AccessKey():
                    return await self._by_key(proof)
        except InvalidJson as error:
            raise CloudUnreachable(f"the answer of IAM cannot be read: {error}") from None

    async def owner(self) -> str | None:
        """Return the user of the access key, by one request to IAM (IAM API, "querying a permanent access key").

        None where IAM does not say: for temporary keys, for users who may not ask, and for other ways to log in.
        """
        proof = self._credentials.proof
        if not isinstance(proof, AccessKey) or self._iam is None:
            return None
        try:
            answer = await self._answer(self._about_key(proof, self._iam))
            return text(part(parse_object(answer.body), "credential"), "user_id")
        except (CloudError, InvalidJson):
            return None

    async def _by_key(self, key: AccessKey) -> Grant:
        project_id = self._credentials.project_id
        if project_id is None:
            answer = await self._answer(self._projects(key))
            project_id = self._only_project(parts(parse_object(answer.body), "projects"))
        return Grant(SignatureAuth(key, project_id, self._clock.now), math.inf, project_id, None)

    async def _answer(self, outgoing: HttpRequest) -> HttpResponse:
        while True:
            await self._throttle.opened()
            left_s = self._clock.moment().elapsed_s
            answer = await self._transport.send(outgoing)
            if answer.status in (200, 201):
                return answer
            complaint = parse_error_body(answer.headers, answer.body, answer.secrets)
            told = throttled(answer, complaint, RequestClass.LOGIN, left_s, self._clock)
            if told is None:
                if outgoing.operation == "projects" and answer.status == 403:
                    # The key itself is accepted.
                    raise PermissionDenied(
                        f"IAM does not let this access key list projects: {words(answer, complaint)}",
                        "give project_id (OS_PROJECT_ID), or allow iam:projects:listProjects",
                        code=complaint.code,
                        status=answer.status,
                        request_id=complaint.request_id,
                    )
                auth = outgoing.auth
                hint = refusal_hint(auth, answer, self._clock) if isinstance(auth, RequestAuth) else _REFUSED
                raise refused_login(answer, complaint, hint)
            self._throttle.refused(told)

    def _versioned(self) -> str:
        if self._iam is None:
            raise UsageError("nothing says where IAM is", "give auth_url, OS_AUTH_URL, or the project's id")
        plain = self._iam.rstrip("/")
        return plain if httpx.URL(plain).path.strip("/") else f"{plain}/v3"

    def _by_password(self, password: Password) -> HttpRequest:
        return HttpRequest(
            operation="token",
            method="POST",
            url=f"{self._versioned()}/auth/tokens",
            headers={"Content-Type": "application/json;charset=utf8"},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
            content=token_request(self._credentials, password),
            secrets=(password.password,),
        )

    def _about(self, token: GivenToken) -> HttpRequest:
        """What IAM knows of a token (IAM API, "verifying a token"): its project, its end, and the catalog."""
        return HttpRequest(
            operation="token",
            method="GET",
            url=f"{self._versioned()}/auth/tokens",
            headers={"X-Subject-Token": token.text},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
            auth=TokenAuth(token.text, renewable=False),
            secrets=(token.text,),
        )

    def _projects(self, key: AccessKey) -> HttpRequest:
        """The projects of that name (IAM API, "querying project information"); a region's own has the region's name."""
        name = self._credentials.project_name or self._credentials.region
        if name is None:
            raise UsageError(
                "nothing says which project the access key is to be used in",
                "name it: project_id, project_name or a region; OS_PROJECT_ID, OS_PROJECT_NAME or OS_REGION_NAME",
            )
        badge = SignatureAuth(key, None, self._clock.now)
        return HttpRequest(
            operation="projects",
            method="GET",
            url=f"{self._versioned()}/projects?name={quote(name, safe='')}",
            headers={},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
            auth=badge,
            secrets=badge.secrets,
        )

    def _about_key(self, key: AccessKey, iam: str) -> HttpRequest:
        """What IAM knows of an access key. Its version of the API is beside the one that the address may name."""
        address, badge = httpx.URL(iam), SignatureAuth(key, None, self._clock.now)
        path = f"/v3.0/OS-CREDENTIAL/credentials/{quote(key.access, safe='')}"
        return HttpRequest(
            operation="credential",
            method="GET",
            url=str(address.copy_with(raw_path=path.encode())),
            headers={},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
            auth=badge,
            secrets=badge.secrets,
        )

    def _only_project(self, found: Sequence[Fields]) -> str:
        ids = [need(one, "id") for one in found]
        if not all(is_project_id(one) for one in ids):
            raise InvalidJson("the id of a project is none")
        if len(ids) == 1:
            return ids[0]
        name = self._credentials.project_name or self._credentials.region
        raise UsageError(
            f"for this access key IAM knows {len(ids) or 'no'} projects named {name}{': ' if ids else ''}"
            f"{', '.join(ids[:CANDIDATES_LISTED])}",
            "give the project's id: project_id in the cloud's entry, OS_PROJECT_ID, or HUAWEICLOUD_SDK_PROJECT_ID",
        )

    def _checked(self, grant: Grant) -> Grant:
        """The grant of a token, if it is for the project that is asked for: it cannot be turned to another."""
        wanted, own = self._credentials.project_id, grant.project_id
        if wanted is None:
            wanted, own = self._credentials.project_name, grant.project_name or self._credentials.project_name or ""
            named, told = self._credentials.project_domain_name, grant.domain_name
            if self._credentials.project_domain_id is not None:
                named, told = self._credentials.project_domain_id, grant.domain_id
            if wanted is not None and wanted == own and named is not None and told not in (None, named):
                wanted, own = f"{wanted} of domain {named}", f"{own} of domain {told}"
        if wanted is not None and wanted != own:
            raise UsageError(f"the token that was given to fleetos is for project {own}, not for {wanted}", _OTHER)
        return grant


def refused_login(answer: HttpResponse, complaint: ErrorBody, hint: str) -> CloudError:
    """Return what a refused login comes to: every 4xx is a verdict, for which `hint` is given; the rest may pass."""
    if 400 <= answer.status < 500 and answer.status != 408:
        return AuthenticationFailed(
            f"IAM refuses the login: {words(answer, complaint)}",
            hint,
            code=complaint.code,
            status=answer.status,
            request_id=complaint.request_id,
        )
    return CloudUnreachable(
        f"IAM does not answer the login: {words(answer, complaint)}",
        "the address leads elsewhere, and no password is sent there: check auth_url"
        if 300 <= answer.status < 400
        else None,
        code=complaint.code,
        status=answer.status,
        request_id=complaint.request_id,
    )
