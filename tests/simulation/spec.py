"""What makes one simulated play: a world, a plan, an operator, and everything that goes wrong. Frozen values.

A play is a pure function of its spec; a spec is a pure function of its seed, until shrinking takes parts away.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from fleetos.model.journal.requests import RequestKind
from fleetos.model.plan import ApiLimits, FailurePolicy, Polling, Rollout, Timeouts
from fleetos.sim.scenario.faults import Rule
from fleetos.sim.scenario.scenario import Scenario
from tests.simulation.spec_steering import BORN, SteeringSpec

# Who begins the run, and asks for most things.
OWNER = "operator"
# What every plan orders.
IMAGE = "Standard_Debian_12_latest"
ActKind = Literal["start", "stop", "lock", "unlock", "change", "delete"]
PointKind = Literal["before commit", "after commit", "before request", "after request"]
POINT_KINDS: tuple[PointKind, ...] = ("before commit", "after commit", "before request", "after request")


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody else does to the server at that place of the plan, `at_s` seconds after the run began.

    `fails`: the change that he makes fails; `in_vain`: and leaves everything as it was.
    """

    at_s: float
    act: ActKind
    server: int
    image: str | None = None
    fails: bool = False
    in_vain: bool = False


@dataclass(frozen=True, slots=True)
class Freeze:
    """The process stops at that clock reading, commit or request (counted over the play) for `for_s` seconds.

    `suspend`: the machine sleeps, so that its monotonic clock stands still; else only the process is stopped.
    `taken_over_after_s`: when a second process begins to wait for the lease; None: nobody does.
    """

    kind: Literal["clock", "before commit", "after commit", "after request"]
    nth: int
    for_s: float
    suspend: bool = False
    taken_over_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Commits:
    """How commits fail: shares that are lost or whose outcome nobody knows, and how long one takes at most."""

    lost: float = 0.0
    unknown: float = 0.0
    slow: float = 0.0
    slow_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock of every process is set forward or back at that second."""

    at_s: float
    by_s: float


@dataclass(frozen=True, slots=True)
class Clocks:
    """How clocks lie: `apart_s` between the machines, `drift` as a share, and when they are set."""

    apart_s: float = 0.0
    drift: float = 0.0
    jumps: tuple[Jump, ...] = ()


@dataclass(frozen=True, slots=True)
class Distortion:
    """Shares of the answers that are told wrong: statuses nobody knows, servers missing from a list page, a request
    that is echoed with its secrets in an error."""

    status: float = 0.0
    missing: float = 0.0
    echo: float = 0.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What an operator asks of the run at that second: for the servers at those places, or for that concurrency.

    An approval and a promotion are about the wave that the run shows just then, and about what is left of it.
    """

    at_s: float
    kind: RequestKind
    servers: tuple[int, ...] = ()
    concurrency: int | None = None
    by: str = OWNER


@dataclass(frozen=True, slots=True)
class Operator:
    """What the operator does: resumes after some time, perhaps asks for something, aborts, or retries what failed.

    `release`: unknown outcomes are let rest as soon as the run has ended, before anything is retried.
    """

    resume_s: tuple[float, float] = (1.0, 60.0)
    abort_at_s: float | None = None
    retries: int = 0
    release: bool = False
    asks: tuple[Ask, ...] = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """One play. `calm_at_s`: all faults end then, and the run must come to its end within a bound.

    `deaths` are the points, counted over the whole play from 1, at which the process dies. `reinstall`: servers get the
    image that they run. `diverse`: no two neighbours get the same image, login, user data or metadata. `filed`: the
    run lives in an SQLite file. `again`: the faults of a second run of the plan over the same servers, None if there is
    none. `taken`: seconds at which another run claims the server at a place, if this one has given it up by then.
    `steering`: waves, groups, budgets and windows, None if the plan has none.
    """

    seed: int
    scenario: Scenario
    rollout: Rollout = field(default_factory=Rollout)
    failure: FailurePolicy = field(default_factory=FailurePolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    polling: Polling = field(default_factory=Polling)
    limits: ApiLimits = field(default_factory=ApiLimits)
    loopback: bool = False
    secret: bool = False
    faults: tuple[Rule, ...] = ()
    acts: tuple[Act, ...] = ()
    deaths: tuple[int, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    commits: Commits = Commits()
    clocks: Clocks = Clocks()
    distortion: Distortion = Distortion()
    operator: Operator = field(default_factory=Operator)
    calm_at_s: float = 3600.0
    enumerate: bool = False
    reinstall: bool = False
    diverse: bool = False
    filed: bool = False
    taken: tuple[tuple[float, int], ...] = ()
    again: tuple[Rule, ...] | None = None
    steering: SteeringSpec | None = None

    @property
    def born(self) -> datetime:
        """Second 0 of the play."""
        return BORN if self.steering is None else self.steering.born
