"""IAM of the simulated cloud: one user, one project, tokens that carry their own expiry and need no memory."""

import json
from datetime import UTC, datetime
from hmac import compare_digest
from typing import cast

from fleetos.sim.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.sim.chance import Chance
from fleetos.sim.codes import Refusal, refusal
from fleetos.sim.scenario import Tokens

# (catalog type, name, path of the public endpoint)
_SERVICES = (
    ("ecs", "ecs", "/v1/{project}"),
    ("ecsv1.1", "ecsv1.1", "/v1.1/{project}"),
    ("compute", "nova", "/v2.1/{project}"),
    ("image", "glance", ""),
    ("ims", "ims", ""),
    ("volumev2", "evs", "/v2/{project}"),
    ("evs", "evs", "/v2/{project}"),
    ("identity", "iam", "/v3"),
    ("iam", "iam", "/v3"),
)


class TokenOffice:
    """Gives out tokens and judges them. Project and user id are those of the world."""

    def __init__(self, chance: Chance, settings: Tokens, project_id: str, user_id: str) -> None:
        self._chance = chance
        self._settings = settings
        self._project_id = project_id
        self._user_id = user_id

    def issue(
        self, body: bytes, base_url: str, now: float, number: int
    ) -> tuple[str, dict[str, dict[str, object]]] | Refusal:
        """Return a token and the body that goes with it, or the refusal (IAM API, "token through password")."""
        try:
            asked = _Asked(json.loads(body))
        except (ValueError, KeyError, TypeError, RecursionError):
            return refusal("Common.0002", form="nova")
        right = compare_digest(asked.password.encode(), PASSWORD.encode())
        if not right or asked.user not in (USER, self._user_id) or asked.domain not in (DOMAIN, None):
            return refusal("IAM.0011", form="nova")
        if asked.project not in (PROJECT, self._project_id):
            return refusal("IAM.0011", form="nova", message="The project is not one of the user's.")
        expires = now + self._settings.lifetime_s
        return self._token(number, expires), self._described(now, expires, base_url)

    def judge(self, token: str | None, now: float) -> Refusal | None:
        """Return None for a valid token, else the gateway's refusal."""
        if not token:
            return refusal("APIGW.0301")
        parts = token.split(".")
        if len(parts) < 4 or not parts[1].isdigit() or not parts[2].isdigit():
            return refusal("APIGW.0301")
        if not compare_digest(parts[3], self._proof(parts[1], parts[2])):
            return refusal("APIGW.0301")
        return refusal("APIGW.0307") if int(parts[2]) / 1000 <= now else None

    def show(self, token: str | None, base_url: str, now: float) -> dict[str, dict[str, object]] | Refusal:
        """Return what a token is for and until when, or the refusal: a token that is none is not found."""
        if token is None or self.judge(token, now) is not None:
            return refusal("IAM.0004", form="nova")
        expires = int(token.split(".")[2]) / 1000
        return self._described(expires - self._settings.lifetime_s, expires, base_url)

    def projects(self, name: str | None) -> str:
        """Return the projects of exactly that name, or all (IAM API, "querying project information"): there is one."""
        found = [{"id": self._project_id, "name": PROJECT, "enabled": True}] if name in (None, PROJECT) else []
        return json.dumps({"projects": found})

    def _token(self, number: int, expires: float) -> str:
        millis = str(int(expires * 1000))
        token = f"sim.{number}.{millis}.{self._proof(str(number), millis)}"
        return token + "." + "A" * max(0, self._settings.length - len(token) - 1)

    def _proof(self, number: str, millis: str) -> str:
        return self._chance.hex("token", number, millis)

    def _described(self, now: float, expires: float, base_url: str) -> dict[str, dict[str, object]]:
        domain = {"id": self._chance.hex("domain"), "name": DOMAIN}
        catalog = [
            {
                "type": kind,
                "name": name,
                "id": self._chance.hex("service", kind),
                "endpoints": [
                    {
                        "id": self._chance.hex("endpoint", kind),
                        "interface": "public",
                        "region": "*" if name == "iam" else REGION,
                        "region_id": "*" if name == "iam" else REGION,
                        "url": base_url + path.format(project=self._project_id),
                    }
                ],
            }
            for kind, name, path in _SERVICES
        ]
        return {
            "token": {
                "methods": ["password"],
                "issued_at": _stamp_us(now),
                "expires_at": _stamp_us(expires),
                "user": {"id": self._user_id, "name": USER, "domain": domain, "password_expires_at": ""},
                "project": {"id": self._project_id, "name": PROJECT, "domain": domain},
                "roles": [{"id": "0", "name": "te_admin"}],
                "catalog": catalog,
            }
        }


class _Asked:
    """Who asks for which project. Raises KeyError or TypeError where the body is not what IAM expects."""

    def __init__(self, content: dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]]) -> None:
        auth = content["auth"]
        user = auth["identity"]["password"]["user"]
        self.user = str(user.get("id") or user["name"])
        self.password = str(user["password"])
        self.domain = str(cast("dict[str, object]", user["domain"])["name"]) if "domain" in user else None
        project = auth.get("scope", {}).get("project", {})
        self.project = str(project.get("id") or project.get("name") or PROJECT)


def _stamp_us(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
