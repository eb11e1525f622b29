"""IAM of the simulated cloud: one user, one project, tokens that carry their own expiry and need no memory."""

from datetime import UTC, datetime
from hmac import compare_digest

from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.api.request_bodies import BodyError, ByToken, TokenBody, User, parse, read
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.scenario import Tokens
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.wire.openstack_types import DomainShown, ProjectListed, ProjectsAnswer, ServiceShown, TokenAnswer

# (catalog type, name, path of the public endpoint)
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
    """Gives out tokens and judges them. Project and user id are those of the world."""

    def __init__(self, chance: RandomDraws, settings: Tokens, project_id: str, user_id: str) -> None:
        self._chance = chance
        self._settings = settings
        self._project_id = project_id
        self._user_id = user_id
        self._domain_id = chance.hex("domain")

    def issue(self, body: bytes, base_url: str, now: float, number: int) -> tuple[str, TokenAnswer] | ApiError:
        """Return a token and the body that goes with it, or the refusal (IAM API, "token through password").

        A token is given for another one too, and lives no longer than that (IAM API, "obtaining a scoped token").
        """
        try:
            asked = read(TokenBody, parse(body)).auth
        except BodyError as error:
            return error.refused.model_copy(update={"form": "nova"})
        expires = now + self._settings.lifetime_s
        if isinstance(asked.identity, ByToken):
            token = asked.identity.token.id
            if self.judge(token, now) is not None:
                return refusal("IAM.0011", form="nova", message="The token is not valid.")
            expires = _expires(token)
        elif not self._is_user(asked.identity.password.user):
            return refusal("IAM.0011", form="nova")
        project = asked.scope.project if asked.scope is not None else None
        if project is not None and (project.id or project.name or PROJECT) not in (PROJECT, self._project_id):
            return refusal("IAM.0011", form="nova", message="The project is not one of the user's.")
        (method,) = asked.identity.methods
        return self._token(number, expires), self._described(method, now, expires, base_url)

    def _is_user(self, user: User) -> bool:
        domain = (user.domain.id or user.domain.name) if user.domain is not None else None
        right = compare_digest(user.password.encode(), PASSWORD.encode())
        known = (user.id or user.name) in (USER, self._user_id) and domain in (DOMAIN, self._domain_id, None)
        return right and known

    def judge(self, token: str | None, now: float) -> ApiError | None:
        """Return None for a valid token, else the gateway's refusal."""
        if not token:
            return refusal("APIGW.0301")
        parts = token.split(".")
        if len(parts) < 4 or not parts[1].isdigit() or not parts[2].isdigit():
            return refusal("APIGW.0301")
        if not compare_digest(parts[3].encode(), self._proof(parts[1], parts[2]).encode()):
            return refusal("APIGW.0301")
        return refusal("APIGW.0307") if _expires(token) <= now else None

    def show(self, token: str | None, base_url: str, now: float) -> TokenAnswer | ApiError:
        """Return what a token is for and until when, or the refusal: a token that is none is not found."""
        if token is None or self.judge(token, now) is not None:
            return refusal("IAM.0004", form="nova")
        expires = _expires(token)
        return self._described("password", expires - self._settings.lifetime_s, expires, base_url)

    def projects(self, name: str | None, base_url: str) -> ProjectsAnswer:
        """Return the projects of exactly that name, or all (IAM API, "querying project information"): there is one."""
        here = f"{base_url}/v3/projects"
        own: ProjectListed = {
            "id": self._project_id,
            "name": PROJECT,
            "description": "",
            "domain_id": self._domain_id,
            "parent_id": self._domain_id,
            "is_domain": False,
            "enabled": True,
            "links": {"self": f"{here}/{self._project_id}"},
        }
        return {"projects": [own] if name in (None, PROJECT) else [], "links": {"self": here}}

    def _token(self, number: int, expires: float) -> str:
        millis = str(int(expires * 1000))
        token = f"sim.{number}.{millis}.{self._proof(str(number), millis)}"
        return token + "." + "A" * max(0, self._settings.length - len(token) - 1)

    def _proof(self, number: str, millis: str) -> str:
        return self._chance.hex("token", number, millis)

    def _described(self, method: str, now: float, expires: float, base_url: str) -> TokenAnswer:
        domain: DomainShown = {"id": self._domain_id, "name": DOMAIN}
        catalog: list[ServiceShown] = [
            {
                "type": kind,
                "name": name,
                "id": self._chance.hex("service", kind),
                "endpoints": [
                    {
                        "id": self._chance.hex("endpoint", kind),
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
                "issued_at": _stamp_us(now),
                "expires_at": _stamp_us(expires),
                "user": {"id": self._user_id, "name": USER, "domain": domain, "password_expires_at": ""},
                "project": {"id": self._project_id, "name": PROJECT, "domain": domain},
                "roles": [{"id": "0", "name": "te_admin"}],
                "catalog": catalog,
            }
        }


def _expires(token: str) -> float:
    """When a token ends that this office gave out."""
    return int(token.split(".")[2]) / 1000


def _stamp_us(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
