"""Numbers of a run: from the plan, from defaults, checked against the cloud."""

from dataclasses import dataclass

from fleetos.errors import Problem
from fleetos.limits import SETTLE_ELSEWHERE_S, SETTLE_MIN_S, SETTLE_OTC_S, SETTLE_SIM_S
from fleetos.model import experience
from fleetos.model.plan import Plan
from fleetos.model.run import Settings
from fleetos.planning.plan_file.units import format_duration


@dataclass(frozen=True, slots=True)
class CloudFacts:
    """Facts about a cloud's endpoint and login that planning needs."""

    is_otc: bool = False
    """The cloud is Open Telekom Cloud."""
    loopback: bool = False
    """The cloud says of itself that it is simulated."""
    is_sim: bool = False
    """The cloud is the built-in simulated cloud."""
    names_user: bool = True
    """Requests name their user by themselves, as a token does."""
    user_id: str | None = None
    """Owner of the access key if requests do not name their user; None if it could not be found out."""
    no_windows: bool = False
    """The cloud changes no server to Windows."""

    @property
    def is_simulated(self) -> bool:
        """True for a simulated cloud, built in or not."""
        return self.loopback or self.is_sim


def settle_problem(plan: Plan, facts: CloudFacts) -> Problem | None:
    """Return the problem with the plan's settle time on that cloud, or None.

    A real cloud may act on a request minutes after its answer was lost: a time shorter than SETTLE_MIN_S is refused.
    """
    settle_s = plan.timeouts.settle_s
    if settle_s is None or settle_s >= SETTLE_MIN_S or facts.is_simulated:
        return None
    minimum = format_duration(SETTLE_MIN_S)
    expected = f"at least {minimum}: a lost request may still take effect until then"
    return plan.place("timeouts.settle").problem(expected, "leave it to `auto`")


def choose_settle_s(plan: Plan, facts: CloudFacts, longest_change_s: float) -> float:
    """Choose how long an unknown outcome is watched, in seconds.

    The time grows with the longest change that is remembered of this cloud.
    """
    if plan.timeouts.settle_s is not None:
        chosen_s = plan.timeouts.settle_s
    elif facts.is_simulated:
        chosen_s = SETTLE_SIM_S
    else:
        chosen_s = SETTLE_OTC_S if facts.is_otc else SETTLE_ELSEWHERE_S
    return experience.settle_s(chosen_s, longest_change_s, plan.timeouts.change_s)


def choose_settings(plan: Plan, facts: CloudFacts, targets: int, longest_change_s: float) -> Settings:
    """Choose the settings of a run of that many targets.

    A percentage of the targets rounds down, but never to 0. A rate of None stays None: the cloud client learns it.
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
        settle_s=choose_settle_s(plan, facts, longest_change_s),
        start_timeout_s=plan.timeouts.start_s,
        poll_min_s=plan.polling.min_s,
        poll_max_s=plan.polling.max_s,
        rate_per_s=plan.api.rate_per_s,
        burst=plan.api.burst,
        connections=plan.api.connections,
        loopback=facts.is_simulated,
        failure_first=plan.failure.first,
    )
