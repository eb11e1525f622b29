"""Keys of the plan file that steer a rollout: waves, groups, budgets, windows; and who is notified."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from fleetos.model.steering.windows import Fit
from fleetos.planning.plan_file.steering_types import (
    ApprovalRule,
    ClockTime,
    CronText,
    DateOrTime,
    DayList,
    FitRule,
    GroupKeyName,
    MatchKeys,
    Size,
    Zone,
)
from fleetos.planning.plan_file.value_types import EACH, ONE, FilePath, SecretUrl, SigningKey, StepTime, Text, Wait

WAVE_ENTRIES_MAX = 50
GROUP_RULES_MAX = 8
RULES_MAX = 100
OF_LAST_MAX = 1_000
NOTIFY_ENTRIES_MAX = 10


class Section(BaseModel):
    """A mapping of the plan that knows all its keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ThenSection(Section):
    """Conditions before the next wave opens."""

    bake: Wait = Field(default=0.0, description="How long a finished wave is watched; at most 7 days.")
    approval: ApprovalRule = Field(
        default=None,
        description="true, or {by: anyone | other | [NAME, ...], of: 1 to 5, valid: 24h}: who must approve, and for "
        "how long that holds. other: anyone but the owner of the run.",
    )


class WaveSection(Section):
    """Waves of the servers that match."""

    name: Text | None = Field(default=None, description="A name for people.")
    match: MatchKeys | None = Field(
        default=None, description="Which servers: `az`, `flavor`, `name` (a glob), `label:NAME`. Left out: all."
    )
    sizes: list[Size] = Field(
        min_length=1,
        max_length=WAVE_ENTRIES_MAX,
        description="A wave of each size: a number, or a percentage of the matching servers (rounds down, never to 0).",
    )
    then: ThenSection | None = Field(
        default=None, description="Conditions after each of these waves, in place of `between_waves`."
    )


WaveEntryKeys = Annotated[
    Annotated[Size, Tag(ONE)] | Annotated[WaveSection, Tag(EACH)],
    Discriminator(lambda value: EACH if isinstance(value, dict) else ONE),
]


class UnavailableSection(Section):
    """Limit of servers that are out at once."""

    per: GroupKeyName = Field(
        description="`all`, `az`, `flavor` or `label:NAME`: servers with the same value are a group. "
        "Servers without the label are free."
    )
    value: Size = Field(
        description="Servers of a group that may be out at once, whatever the cause: a number, or a percentage of the "
        "group (rounds down, never to 0)."
    )


class OfLastSection(Section):
    """Budget among the servers that ended last."""

    failed: int = Field(ge=0, le=OF_LAST_MAX, description="More than this many failures of the last pause the run.")
    of: int = Field(ge=1, le=OF_LAST_MAX, description="The number of servers that ended last.")


class WindowSection(Section):
    """A rule: weekly times, cron times, dates, or a calendar file."""

    name: Text | None = Field(default=None, description="A name for people.")
    match: MatchKeys | None = Field(default=None, description="Which servers; left out: all.")
    zone: Zone | None = Field(default=None, description="The IANA time zone, in place of the plan's.")
    days: DayList | None = Field(
        default=None, description="Days on which a weekly time begins, such as [mon-fri]; with `from` and `to`."
    )
    from_: ClockTime | None = Field(default=None, alias="from", description="The local time at which it begins.")
    to: ClockTime | None = Field(
        default=None, description="The local time at which it ends, on the next day unless it is later than `from`."
    )
    cron: CronText | None = Field(
        default=None, description="A cron expression of five fields that says when it begins; with `for`."
    )
    for_: StepTime | None = Field(
        default=None, alias="for", description="How long it lasts after each start, in true hours; at most 7 days."
    )
    since: DateOrTime | None = Field(
        default=None, description="A first date, or a time; with `until`. Times are local unless they name an offset."
    )
    until: DateOrTime | None = Field(
        default=None, description="The last date, which is included, or a time, which is not."
    )
    ics: FilePath | None = Field(default=None, description="A calendar file (iCalendar).")


class WindowsSection(Section):
    """Times in which servers may be changed."""

    zone: Zone | None = Field(default=None, description="The IANA time zone of local times; required for these.")
    allow: list[WindowSection] | None = Field(
        default=None,
        min_length=1,
        max_length=RULES_MAX,
        description="When servers may be changed: at any of these. Left out: always.",
    )
    deny: list[WindowSection] = Field(
        default=[], max_length=RULES_MAX, description="When no server is changed, whatever `allow` says."
    )
    fit: FitRule = Field(
        default=Fit(),
        description="Start only what ends in time: by a quantile of what changes took (p50, p90, p95, p99), by a "
        "duration, or none.",
    )
    retries: Literal["finish", "wait"] = Field(
        default="finish",
        description="finish: a server that a failed change left broken gets its next attempt outside of `allow` too.",
    )


class NotifySection(Section):
    """A receiver of notifications."""

    url: SecretUrl = Field(
        description="Where its URL is found: {env: NAME} or {file: PATH}. A webhook (https://...), or a URL of apprise "
        "such as mailto:// or slack:// (extra `notify`). A literal URL is refused."
    )
    on: (
        list[Literal["started", "wave", "approval", "paused", "budget-half", "overdue", "finished", "server-failed"]]
        | None
    ) = Field(
        default=None,
        min_length=1,
        description="When: started, wave, approval, paused, budget-half, overdue, finished, server-failed. "
        "Left out: all but server-failed.",
    )
    secret: SigningKey | None = Field(
        default=None,
        description="Where the key that signs a webhook's requests is found: {env: NAME} or {file: PATH}. "
        "whsec_ and base64, or any text.",
    )
