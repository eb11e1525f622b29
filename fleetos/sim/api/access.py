"""Public credentials of the simulated cloud. It holds nothing that they protect."""

from dataclasses import dataclass

USER = "sim"
PASSWORD = f"{USER}-password"
DOMAIN = "sim-domain"
PROJECT = "eu-de_sim"
REGION = "eu-de"
ACCESS_KEY = "SIMACCESSKEY00000001"
SECRET_KEY = f"{USER}-secret-key-of-no-worth"
# Temporary keys come with a security token; these never expire.
TEMPORARY_ACCESS_KEY = "SIMACCESSKEY00000002"
TEMPORARY_SECRET_KEY = f"{USER}-secret-key-for-a-time"
SECURITY_TOKEN = f"{USER}-security-token"


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials of a running simulated cloud. Its access key is ACCESS_KEY with SECRET_KEY."""

    base_url: str
    username: str = USER
    password: str = PASSWORD
    user_domain: str = DOMAIN
    project_name: str = PROJECT
    region: str = REGION

    @property
    def auth_url(self) -> str:
        """URL of IAM, for `auth_url` in clouds.yaml."""
        return f"{self.base_url}/v3"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that openstacksdk and fleetos read."""
        return {
            "OS_AUTH_URL": self.auth_url,
            "OS_USERNAME": self.username,
            "OS_PASSWORD": self.password,
            "OS_USER_DOMAIN_NAME": self.user_domain,
            "OS_PROJECT_NAME": self.project_name,
            "OS_REGION_NAME": self.region,
        }

    def key_environment(self) -> dict[str, str]:
        """Return the variables, besides those of `environment`, that make fleetos sign with the access key."""
        return {"OS_AUTH_TYPE": "aksk", "OS_ACCESS_KEY": ACCESS_KEY, "OS_SECRET_KEY": SECRET_KEY}
