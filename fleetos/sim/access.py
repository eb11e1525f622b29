"""How a client gets into the simulated cloud. All of it is public: there is nothing behind it to protect."""

from dataclasses import dataclass

USER = "sim"
PASSWORD = f"{USER}-password"
DOMAIN = "sim-domain"
PROJECT = "eu-de_sim"
REGION = "eu-de"


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials of a running simulated cloud."""

    base_url: str
    username: str = USER
    password: str = PASSWORD
    user_domain: str = DOMAIN
    project_name: str = PROJECT
    region: str = REGION

    @property
    def auth_url(self) -> str:
        """The address of IAM, as clouds.yaml names it."""
        return f"{self.base_url}/v3"

    def environment(self) -> dict[str, str]:
        """Return the variables that openstacksdk and fleetos read."""
        return {
            "OS_AUTH_URL": self.auth_url,
            "OS_USERNAME": self.username,
            "OS_PASSWORD": self.password,
            "OS_USER_DOMAIN_NAME": self.user_domain,
            "OS_PROJECT_NAME": self.project_name,
            "OS_REGION_NAME": self.region,
        }
