"""The vendor's SDK, unmodified, pointed at a cloud on loopback."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fleetos.sim.api.access import ACCESS_KEY, SECRET_KEY

# The SDK comes without types.
ecs: Any = importlib.import_module("huaweicloudsdkecs.v2")
eps: Any = importlib.import_module("huaweicloudsdkeps.v1")
evs: Any = importlib.import_module("huaweicloudsdkevs.v2")
iam: Any = importlib.import_module("huaweicloudsdkiam.v3")
ims: Any = importlib.import_module("huaweicloudsdkims.v2")
kms: Any = importlib.import_module("huaweicloudsdkkms.v2")
core: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials")
exceptions: Any = importlib.import_module("huaweicloudsdkcore.exceptions.exceptions")
http_config: Any = importlib.import_module("huaweicloudsdkcore.http.http_config")
http_utils: Any = importlib.import_module("huaweicloudsdkcore.utils.http_utils")

TIMEOUT_S = (5, 10)


@dataclass(frozen=True)
class Vendor:
    """The SDK's clients for one project."""

    url: str
    credentials: Any

    @cached_property
    def ecs(self) -> Any:
        """Its client of the ECS."""
        return self._built(ecs.EcsClient)

    @cached_property
    def eps(self) -> Any:
        """Its client of the EPS, a service of the whole account."""
        return self._built(eps.EpsClient, core.GlobalCredentials(ACCESS_KEY, SECRET_KEY, "no-domain"))

    @cached_property
    def evs(self) -> Any:
        """Its client of the EVS."""
        return self._built(evs.EvsClient)

    @cached_property
    def iam(self) -> Any:
        """Its client of the IAM."""
        return self._built(iam.IamClient)

    @cached_property
    def ims(self) -> Any:
        """Its client of the IMS."""
        return self._built(ims.ImsClient)

    @cached_property
    def kms(self) -> Any:
        """Its client of the KMS."""
        return self._built(kms.KmsClient)

    def _built(self, kind: Any, credentials: Any = None) -> Any:
        builder = kind.new_builder().with_http_config(http_config.HttpConfig(timeout=TIMEOUT_S))
        return builder.with_credentials(credentials or self.credentials).with_endpoint(self.url).build()


def login(vendor: Vendor, env: Mapping[str, str]) -> Any:
    """The SDK's answer to a request for a token of the project in the environment."""
    user = iam.PwdPasswordUser(
        name=env["OS_USERNAME"],
        password=env["OS_PASSWORD"],
        domain=iam.PwdPasswordUserDomain(name=env["OS_USER_DOMAIN_NAME"]),
    )
    identity = iam.PwdIdentity(methods=["password"], password=iam.PwdPassword(user=user))
    scope = iam.AuthScope(project=iam.AuthScopeProject(name=env["OS_PROJECT_NAME"]))
    auth = iam.PwdAuth(identity=identity, scope=scope)
    body = iam.KeystoneCreateUserTokenByPasswordRequestBody(auth=auth)
    return vendor.iam.keystone_create_user_token_by_password(iam.KeystoneCreateUserTokenByPasswordRequest(body=body))


def signing(project_id: str) -> Any:
    """Credentials that sign with the access key of the simulated cloud."""
    return core.BasicCredentials(ACCESS_KEY, SECRET_KEY, project_id)


def project_of(url: str, name: str) -> str:
    """The id of the project with that name, which the SDK asks for, signed, without being in a project."""
    anywhere = Vendor(url, core.GlobalCredentials(ACCESS_KEY, SECRET_KEY, "no-domain"))
    (found,) = anywhere.iam.keystone_list_projects(iam.KeystoneListProjectsRequest(name=name)).projects
    return found.id


def with_token(token: str, project_id: str) -> Any:
    """Credentials that send a token in place of a signature."""
    made: Any = core.BasicCredentials("no-access-key", "no-secret-key", project_id)
    sign = made.sign_request

    def sign_request(request: Any) -> Any:
        # The SDK signs nothing that has this header already.
        request.header_params["Authorization"] = "none"
        signed = sign(request)
        del signed.header_params["Authorization"]
        signed.header_params["X-Auth-Token"] = token
        return signed

    made.sign_request = sign_request
    return made


def plain(model: Any) -> Any:
    """What the SDK has understood of an answer, as JSON with the names of the API; absent is what is None."""
    return http_utils.sanitize_for_serialization(model)
