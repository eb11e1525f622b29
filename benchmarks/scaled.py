"""The world in which clients of several kinds are compared: that of the headline, with time made shorter.

All durations of the cloud, all polling and all waits of the clients are divided by the scale. What a client itself
takes, to compute or to start a process, is not: it weighs as much more as the scale says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.headline import CHANGE_S, SEED, STOP_S
from fleetos.sim.scenario.scenario import Scenario

SCALE = 60.0
# What the clients are told, before it is scaled.
POLL_S, POLL_MAX_S, AGAIN_S, SETTLE_S = 10.0, 60.0, 30.0, 600.0
# How late the cloud shows the new image of a server whose change has ended, in a world that is not kind.
FLIP_LAG_S = 30.0
OLD_IMAGE, IMAGE, KEY = "Standard_Debian_11_latest", "Standard_Debian_12_latest", "KeyPair-350b"


@dataclass(frozen=True, slots=True)
class Weather:
    """What goes wrong in a world. `late_image`: the image of a changed server shows with a lag."""

    name: str
    faults: Sequence[Mapping[str, object]] = ()
    late_image: bool = False


KIND = Weather("nothing goes wrong")
ROUGH = Weather(
    "lost answers, failed changes, late images",
    (
        {"on": ["changeos", "stop", "detail", "job"], "do": "cut-after", "rate": 0.02},
        {"on": "changeos", "do": "fail", "rate": 0.05, "code": "Ecs.0202", "picture": "old-disk"},
    ),
    late_image=True,
)


def world(servers: int, scale: float, weather: Weather = KIND) -> Scenario:
    """The cloud, at that scale."""
    stop, change = ([bound / scale for bound in span] for span in (STOP_S, CHANGE_S))
    return Scenario.model_validate(
        {
            "seed": SEED,
            "servers": [{"count": servers, "name": "web-#####", "state": "running", "image": OLD_IMAGE}],
            "durations": {"stop": stop, "start": stop, "change": change, "job_init": [0.2 / scale, 1.0 / scale]},
            "change": {
                "image_flips": "late" if weather.late_image else "end",
                "flip_lag_s": FLIP_LAG_S / scale,
            },
            "faults": list(weather.faults),
        }
    )
