"""Issue and check tokens: IAM with one user and one project. A token carries its expiry, so none is stored."""

from datetime import UTC, datetime
from hmac import compare_digest

from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.api.request_bodies import BodyError, LoginUser, TokenBody, TokenIdentity, parse_body, read_model
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.scenario import Tokens
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.wire.openstack_types import DomainShown, ProjectListed, ProjectsAnswer, ServiceShown, TokenAnswer

# Catalog: type, name, path of the public endpoint.
_SERVICES = (
    ("ecs", "ecs", "/v1/{project}"),
    ("ecsv1.1", "ecsv1.1", "/v1.1/{project}"),
    ("compute", "nova", "/v2.1/{project}"),
    ("image", "glance", ""),
    ("ims", "ims", ""),
    ("volumev2", "evs", "/v2/{project}"),
    ("evs", "evs", "/v2/{project}"),
    ("kms", "kms", "/v1.0/{project}"),
    ("eps", "eps", "/v1.0"),
    ("identity", "iam", "/v3"),
    ("iam", "iam", "/v3"),
)


class TokenIssuer:
    """Issuer and checker of tokens for the project and the user of the world."""

    def __init__(self, draws: RandomDraws, settings: Tokens, project_id: str, user_id: str) -> None:
        self._draws = draws
        self._settings = settings
        self._project_id = project_id
        self._user_id = user_id
        self._domain_id = draws.hex("domain")

    def issue_token(self, body: bytes, base_url: str, now: float, number: int) -> tuple[str, TokenAnswer] | ApiError:
        """Issue a token for a password, with its response body, or refuse it (IAM API, "token through password").

        It also issues a token for a token, with the same expiry (IAM API, "obtaining a scoped token").
        """
        try:
            login = read_model(TokenBody, parse_body(body)).auth
        except BodyError as error:
            return error.api_error.model_copy(update={"form": "nova"})
        expires_at = now + self._settings.lifetime_s
        if isinstance(login.identity, TokenIdentity):
            token = login.identity.token.id
            if self.check_token(token, now) is not None:
                return refusal("IAM.0011", form="nova", message="The token is not valid.")
            expires_at = _expiry(token)
        elif not self._is_user(login.identity.password.user):
            return refusal("IAM.0011", form="nova")
        project = login.scope.project if login.scope is not None else None
        if project is not None and (project.id or project.name or PROJECT) not in (PROJECT, self._project_id):
            return refusal("IAM.0011", form="nova", message="The project is not one of the user's.")
        (method,) = login.identity.methods
        return self._make_token(number, expires_at), self._token_response(method, now, expires_at, base_url)

    def _is_user(self, user: LoginUser) -> bool:
        domain = (user.domain.id or user.domain.name) if user.domain is not None else None
        password_matches = compare_digest(user.password.encode(), PASSWORD.encode())
        user_matches = (user.id or user.name) in (USER, self._user_id) and domain in (DOMAIN, self._domain_id, None)
        return password_matches and user_matches

    def check_token(self, token: str | None, now: float) -> ApiError | None:
        """Return the gateway's refusal of a token, or None if it is valid."""
        if not token:
            return refusal("APIGW.0301")
        parts = token.split(".")
        if len(parts) < 4 or not parts[1].isdigit() or not parts[2].isdigit():
            return refusal("APIGW.0301")
        if not compare_digest(parts[3].encode(), self._proof(parts[1], parts[2]).encode()):
            return refusal("APIGW.0301")
        return refusal("APIGW.0307") if _expiry(token) <= now else None

    def describe_token(self, token: str | None, base_url: str, now: float) -> TokenAnswer | ApiError:
        """Return the description of a token; an invalid token is refused as not found."""
        if token is None or self.check_token(token, now) is not None:
            return refusal("IAM.0004", form="nova")
        expires_at = _expiry(token)
        return self._token_response("password", expires_at - self._settings.lifetime_s, expires_at, base_url)

    def projects(self, name: str | None, base_url: str) -> ProjectsAnswer:
        """Return the one project if it has that name or no name is given (IAM API, "querying project information")."""
        projects_url = f"{base_url}/v3/projects"
        project: ProjectListed = {
            "id": self._project_id,
            "name": PROJECT,
            "description": "",
            "domain_id": self._domain_id,
            "parent_id": self._domain_id,
            "is_domain": False,
            "enabled": True,
            "links": {"self": f"{projects_url}/{self._project_id}"},
        }
        return {"projects": [project] if name in (None, PROJECT) else [], "links": {"self": projects_url}}

    def _make_token(self, number: int, expires_at: float) -> str:
        millis = str(int(expires_at * 1000))
        token = f"sim.{number}.{millis}.{self._proof(str(number), millis)}"
        return token + "." + "A" * max(0, self._settings.length - len(token) - 1)

    def _proof(self, number: str, millis: str) -> str:
        return self._draws.hex("token", number, millis)

    def _token_response(self, method: str, now: float, expires_at: float, base_url: str) -> TokenAnswer:
        domain: DomainShown = {"id": self._domain_id, "name": DOMAIN}
        catalog: list[ServiceShown] = [
            {
                "type": kind,
                "name": name,
                "id": self._draws.hex("service", kind),
                "endpoints": [
                    {
                        "id": self._draws.hex("endpoint", kind),
                        "interface": "public",
                        "region": "*" if name in ("iam", "eps") else REGION,
                        "region_id": "*" if name in ("iam", "eps") else REGION,
                        "url": base_url + path.format(project=self._project_id),
                    }
                ],
            }
            for kind, name, path in _SERVICES
        ]
        return {
            "token": {
                "methods": [method],
                "issued_at": _format_time_us(now),
                "expires_at": _format_time_us(expires_at),
                "user": {"id": self._user_id, "name": USER, "domain": domain, "password_expires_at": ""},
                "project": {"id": self._project_id, "name": PROJECT, "domain": domain},
                "roles": [{"id": "0", "name": "te_admin"}],
                "catalog": catalog,
            }
        }


def _expiry(token: str) -> float:
    """Return the time at which a token of this issuer expires."""
    return int(token.split(".")[2]) / 1000


def _format_time_us(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
