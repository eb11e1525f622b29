"""The numbers of a run: what the plan says, what it leaves to the cloud, and which of it the cloud does not allow."""

from dataclasses import dataclass

from fleetos.errors import Problem
from fleetos.limits import SETTLE_ELSEWHERE_S, SETTLE_MIN_S, SETTLE_OTC_S, SETTLE_SIM_S
from fleetos.model import experience
from fleetos.model.plan import Plan
from fleetos.model.run import Settings
from fleetos.planning.plan_file.units import format_duration


@dataclass(frozen=True, slots=True)
class CloudFacts:
    """What planning needs to know of a cloud's endpoint and login. `is_sim`: the built-in simulated cloud; `loopback`:
    one that says of itself that it is simulated.

    `names_user`: requests say by themselves whose they are, as a token does. Else `user_id` is whose the access key is,
    None where that could not be found out. `no_windows`: it changes no server to Windows.
    """

    is_otc: bool = False
    loopback: bool = False
    is_sim: bool = False
    names_user: bool = True
    user_id: str | None = None
    no_windows: bool = False

    @property
    def near(self) -> bool:
        """Whether it is a simulated cloud."""
        return self.loopback or self.is_sim


def settle_problem(plan: Plan, facts: CloudFacts) -> Problem | None:
    """What is wrong with the plan's settle time on that cloud, or None.

    A real cloud may act on a request minutes after its answer was lost; less than that is refused.
    """
    settle_s = plan.timeouts.settle_s
    if settle_s is None or settle_s >= SETTLE_MIN_S or facts.near:
        return None
    least = format_duration(SETTLE_MIN_S)
    expected = f"at least {least}: a lost request may still take effect until then"
    return plan.place("timeouts.settle").problem(expected, "leave it to `auto`")


def settle_s(plan: Plan, facts: CloudFacts, longest_change_s: float) -> float:
    """How long an unknown outcome is watched, in seconds.

    It grows with the longest change that is remembered of this cloud.
    """
    if plan.timeouts.settle_s is not None:
        chosen_s = plan.timeouts.settle_s
    elif facts.near:
        chosen_s = SETTLE_SIM_S
    else:
        chosen_s = SETTLE_OTC_S if facts.is_otc else SETTLE_ELSEWHERE_S
    return experience.settle_s(chosen_s, longest_change_s, plan.timeouts.change_s)


def settings_of(plan: Plan, facts: CloudFacts, targets: int, longest_change_s: float) -> Settings:
    """The settings of a run of that many targets.

    A percentage of them rounds down, but never to 0. A rate of None stays None: it is learned.
    """
    return Settings(
        concurrency=plan.rollout.concurrency.of(targets, at_least=1),
        stop=plan.rollout.stop,
        force=plan.rollout.force,
        power_after=plan.rollout.power_after,
        attempts=plan.failure.attempts,
        backoff_s=plan.failure.backoff_s,
        max_backoff_s=plan.failure.max_backoff_s,
        stop_timeout_s=plan.timeouts.stop_s,
        change_timeout_s=plan.timeouts.change_s,
        settle_s=settle_s(plan, facts, longest_change_s),
        start_timeout_s=plan.timeouts.start_s,
        poll_min_s=plan.polling.min_s,
        poll_max_s=plan.polling.max_s,
        rate_per_s=plan.api.rate_per_s,
        burst=plan.api.burst,
        connections=plan.api.connections,
        loopback=facts.near,
    )
