"""Log in with a password, a token, or an access key."""

import math
from collections.abc import Sequence
from urllib.parse import quote

import httpx

from fleetos.clock import Clock
from fleetos.cloud.auth.credentials import AccessKey, Credentials, GivenToken, Password, is_project_id
from fleetos.cloud.auth.grant import Grant, read_given_token, read_grant, token_request
from fleetos.cloud.auth.request_auth import RequestAuth, SignatureAuth, TokenAuth, refusal_hint
from fleetos.cloud.http.classification import describe_response
from fleetos.cloud.http.error_body import ErrorBody, parse_error_body
from fleetos.cloud.http.json_fields import Fields, InvalidJson, parse_object, part, parts, require_text, text
from fleetos.cloud.http.transport import HttpRequest, HttpResponse, Transport
from fleetos.cloud.rate.throttle import RequestClass, Throttle, parse_throttled
from fleetos.errors import (
    AuthenticationFailed,
    CloudError,
    CloudUnreachable,
    PermissionDenied,
    UsageError,
)
from fleetos.limits import CANDIDATES_LISTED, READ_TIMEOUT_S, SMALL_ANSWER_BYTES

_REFUSED_HINT = (
    "check user name, password, user_domain_name, project and auth_url; it is not tried again, "
    "since repeated failures lock the account"
)
_OTHER_PROJECT_HINT = "ask IAM for a token of that project, or leave the project out"


class Login:
    """Login to one project at IAM.

    `iam` is the address of IAM as in clouds.yaml, with or without the version; it may be None for an access key with a
    known project.
    """

    def __init__(
        self, credentials: Credentials, iam: str | None, transport: Transport, throttle: Throttle, clock: Clock
    ) -> None:
        self._credentials = credentials
        self._iam = iam
        self._transport = transport
        self._throttle = throttle
        self._clock = clock

    async def request_grant(self) -> Grant:
        """Log in by at most one request, which is repeated only after a 429, once the pause has ended.

        An access key with a known project needs no request. Raise AuthenticationFailed if IAM refuses, NotSent,
        AnswerLost, CloudUnreachable for any other response, and UsageError if the token is for another project.
        """
        proof = self._credentials.proof
        try:
            match proof:
                case Password():
                    response = await self._send(self._password_query(proof))
                    return read_grant(response.headers, response.body)
                case GivenToken():
                    response = await self._send(self._token_query(proof))
                    grant = read_given_token(proof.text, response.body, response.cloud_time or self._clock.now())
                    return self._check_project(grant)
                case AccessKey():
                    return await self._grant_for_key(proof)
        except InvalidJson as error:
            raise CloudUnreachable(f"the answer of IAM cannot be read: {error}") from None

    async def access_key_user(self) -> str | None:
        """Return the id of the access key's user, by one request to IAM (IAM API, "querying a permanent access key").

        None if IAM does not show it: for temporary keys, for users without the permission, for other login methods.
        """
        proof = self._credentials.proof
        if not isinstance(proof, AccessKey) or self._iam is None:
            return None
        try:
            response = await self._send(self._access_key_query(proof, self._iam))
            return text(part(parse_object(response.body), "credential"), "user_id")
        except (CloudError, InvalidJson):
            return None

    async def _grant_for_key(self, key: AccessKey) -> Grant:
        project_id = self._credentials.project_id
        if project_id is None:
            response = await self._send(self._project_query(key))
            project_id = self._only_project(parts(parse_object(response.body), "projects"))
        return Grant(SignatureAuth(key, project_id, self._clock.now), math.inf, project_id, None)

    async def _send(self, request: HttpRequest) -> HttpResponse:
        while True:
            await self._throttle.wait_until_open()
            left_s = self._clock.moment().elapsed_s
            response = await self._transport.send(request)
            if response.status in (200, 201):
                return response
            error_body = parse_error_body(response.headers, response.body, response.secrets)
            refusal = parse_throttled(response, error_body, RequestClass.LOGIN, left_s, self._clock)
            if refusal is None:
                if request.operation == "projects" and response.status == 403:
                    # The key itself is accepted.
                    raise PermissionDenied(
                        f"IAM does not let this access key list projects: {describe_response(response, error_body)}",
                        "give project_id (OS_PROJECT_ID), or allow iam:projects:listProjects",
                        code=error_body.code,
                        status=response.status,
                        request_id=error_body.request_id,
                    )
                auth = request.auth
                hint = refusal_hint(auth, response, self._clock) if isinstance(auth, RequestAuth) else _REFUSED_HINT
                raise refused_login(response, error_body, hint)
            self._throttle.pause(refusal)

    def _versioned(self) -> str:
        if self._iam is None:
            raise UsageError("nothing says where IAM is", "give auth_url, OS_AUTH_URL, or the project's id")
        plain = self._iam.rstrip("/")
        return plain if httpx.URL(plain).path.strip("/") else f"{plain}/v3"

    def _password_query(self, password: Password) -> HttpRequest:
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

    def _token_query(self, token: GivenToken) -> HttpRequest:
        """Build the request for a token's project, expiry and catalog (IAM API, "verifying a token")."""
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

    def _project_query(self, key: AccessKey) -> HttpRequest:
        """Build the request for the projects of the wanted name (IAM API, "querying project information").

        The default project of a region has the name of the region.
        """
        name = self._credentials.project_name or self._credentials.region
        if name is None:
            raise UsageError(
                "nothing says which project the access key is to be used in",
                "name it: project_id, project_name or a region; OS_PROJECT_ID, OS_PROJECT_NAME or OS_REGION_NAME",
            )
        signature = SignatureAuth(key, None, self._clock.now)
        return HttpRequest(
            operation="projects",
            method="GET",
            url=f"{self._versioned()}/projects?name={quote(name, safe='')}",
            headers={},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
            auth=signature,
            secrets=signature.secrets,
        )

    def _access_key_query(self, key: AccessKey, iam: str) -> HttpRequest:
        """Build the request for the user of an access key. Its API version, v3.0, replaces the one in IAM's address."""
        address, signature = httpx.URL(iam), SignatureAuth(key, None, self._clock.now)
        path = f"/v3.0/OS-CREDENTIAL/credentials/{quote(key.access, safe='')}"
        return HttpRequest(
            operation="credential",
            method="GET",
            url=str(address.copy_with(raw_path=path.encode())),
            headers={},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
            auth=signature,
            # Its path holds the access key, of which only the last letters are ever shown.
            secrets=(*signature.secrets, key.access),
        )

    def _only_project(self, projects: Sequence[Fields]) -> str:
        ids = [require_text(project_id, "id") for project_id in projects]
        if not all(is_project_id(project_id) for project_id in ids):
            raise InvalidJson("the id of a project is none")
        if len(ids) == 1:
            return ids[0]
        name = self._credentials.project_name or self._credentials.region
        raise UsageError(
            f"for this access key IAM knows {len(ids) or 'no'} projects named {name}{': ' if ids else ''}"
            f"{', '.join(ids[:CANDIDATES_LISTED])}",
            "give the project's id: project_id in the cloud's entry, OS_PROJECT_ID, or HUAWEICLOUD_SDK_PROJECT_ID",
        )

    def _check_project(self, grant: Grant) -> Grant:
        """Return the grant. Raise UsageError if its token is for another project than the wanted one."""
        wanted, actual = self._credentials.project_id, grant.project_id
        if wanted is None:
            wanted, actual = self._credentials.project_name, grant.project_name or self._credentials.project_name or ""
            wanted_domain, actual_domain = self._credentials.project_domain_name, grant.domain_name
            if self._credentials.project_domain_id is not None:
                wanted_domain, actual_domain = self._credentials.project_domain_id, grant.domain_id
            if (
                wanted is not None
                and wanted == actual
                and wanted_domain is not None
                and actual_domain not in (None, wanted_domain)
            ):
                wanted, actual = f"{wanted} of domain {wanted_domain}", f"{actual} of domain {actual_domain}"
        if wanted is not None and wanted != actual:
            raise UsageError(
                f"the token that was given to fleetos is for project {actual}, not for {wanted}", _OTHER_PROJECT_HINT
            )
        return grant


def refused_login(response: HttpResponse, error_body: ErrorBody, hint: str) -> CloudError:
    """Return the error of a refused login: a 4xx is final, and has the hint; other failures may pass."""
    if 400 <= response.status < 500 and response.status != 408:
        return AuthenticationFailed(
            f"IAM refuses the login: {describe_response(response, error_body)}",
            hint,
            code=error_body.code,
            status=response.status,
            request_id=error_body.request_id,
        )
    return CloudUnreachable(
        f"IAM does not answer the login: {describe_response(response, error_body)}",
        "the address leads elsewhere, and no password is sent there: check auth_url"
        if 300 <= response.status < 400
        else None,
        code=error_body.code,
        status=response.status,
        request_id=error_body.request_id,
    )
