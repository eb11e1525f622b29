"""The world behind `cloud: sim`: a fleet to try fleetos on, with a few things that go wrong and end well."""

from fleetos.sim.scenario.faults import Fail, LostAfter
from fleetos.sim.scenario.scenario import ChangeManner, ImageEntry, PhaseDurations, Scenario, ServerGroup

SERVERS = 200
# Servers whose first submit has its effect while its answer is lost; none of them is among those whose change fails.
LOST = ("web-023", "web-118", "web-171")


def builtin_scenario() -> Scenario:
    """Return the built-in scenario: 200 servers; about one change in fifteen fails once, and a retry ends well."""
    codes = ("Ecs.0202", "Ecs.0205", "Ecs.0217", "Ecs.0219", "Ecs.0503")
    return Scenario(
        # With this seed web-001 to web-005 run, and no server is both among LOST and among the failing ones.
        seed=31,
        servers=(
            ServerGroup(
                count=SERVERS,
                name="web-###",
                state={"running": 0.9, "stopped": 0.1},
                image="Standard_Debian_11_latest",
                az=("eu-de-01", "eu-de-02", "eu-de-03"),
                tags=("role=web", "stage=demo"),
                key="KeyPair-350b",
            ),
        ),
        images=(
            ImageEntry(name="Standard_Debian_11_latest"),
            ImageEntry(name="Standard_Debian_12_latest"),
            ImageEntry(name="Standard_Ubuntu_24.04_latest"),
            ImageEntry(name="Standard_Windows_2022_latest", os_type="Windows", min_disk_gb=60),
        ),
        key_pairs=("KeyPair-350b", "KeyPair-dmz"),
        durations=PhaseDurations(
            stop=(0.5, 1.5), start=(0.5, 1.5), reboot=(1.0, 2.0), change=(1.5, 4.0), job_init=(0.05, 0.3)
        ),
        change=ChangeManner(flip_lag_s=1.0),
        faults=(
            Fail(do="fail", on="changeos", rate=1 / 15, nth=(1,), code=codes, picture=("old-disk", "error")),
            LostAfter(do="cut-after", on="changeos", servers=LOST, nth=(1,)),
        ),
    )
