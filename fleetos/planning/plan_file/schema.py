"""Keys of the plan file: type, default, meaning. Nothing is looked up here.

Defaults are those of the model, as a plan spells them. Descriptions end up in the JSON Schema.
"""

from typing import Annotated, Literal, cast

from pydantic import ConfigDict, Discriminator, Field, Tag

from fleetos.limits import CONNECTIONS_MAX, LABELS_MAX, PLAN_MAX_SERVERS, SELECT_VALUES_MAX
from fleetos.model.plan import ApiLimits, FailurePolicy, Polling, Rollout, Timeouts
from fleetos.planning.plan_file.schema_rollout import (
    GROUP_RULES_MAX,
    NOTIFY_ENTRIES_MAX,
    WAVE_ENTRIES_MAX,
    NotifySection,
    OfLastSection,
    Section,
    ThenSection,
    UnavailableSection,
    WaveEntryKeys,
    WindowsSection,
)
from fleetos.planning.plan_file.steering_types import FailureShare, OrderKey
from fleetos.planning.plan_file.value_types import (
    ApiRate,
    Concurrency,
    EnterpriseProject,
    ExactText,
    FilePath,
    First,
    Id,
    Interval,
    LabelName,
    LabelValue,
    Name,
    NetworkText,
    OneOrMore,
    Reinstall,
    RunName,
    Secret,
    ServerName,
    Settle,
    StepTime,
    TagKey,
    TagValue,
    Text,
    UserData,
    UserId,
    Version,
    Wait,
)

# The vendor asks to call the support desk after the second failed change; ten is a mistake or a test.
ATTEMPTS_MAX = 10
# The statuses of the API (page ecs_02_0104) except those of a server that is being built or deleted: the platform's
# temporary servers show these during a change.
SelectableStatus = Literal[
    "ACTIVE",
    "SHUTOFF",
    "ERROR",
    "REBOOT",
    "HARD_REBOOT",
    "REBUILD",
    "MIGRATING",
    "RESIZE",
    "REVERT_RESIZE",
    "VERIFY_RESIZE",
    "PAUSED",
    "SUSPENDED",
    "SHELVED",
    "SHELVED_OFFLOADED",
]

_ROLLOUT, _FAILURE, _TIMEOUTS, _POLLING, _API = Rollout(), FailurePolicy(), Timeouts(), Polling(), ApiLimits()


class MetadataSection(Section):
    """Metadata of the change: the API's own keys (API page ecs_02_0202)."""

    encrypted: Literal["0", "1"] | None = Field(
        default=None,
        alias="__system__encrypted",
        description='"1": the new system disk is encrypted. Left out, it is not, even if the old one was.',
    )
    cmkid: Id | None = Field(
        default=None, alias="__system__cmkid", description='The KMS key of the new disk; only with encrypted "1".'
    )
    byol: Literal["true"] | None = Field(default=None, alias="BYOL", description='"true": bring your own licence.')


class ChangeSection(Section):
    """The image, login and metadata that a server gets."""

    image: Name | None = Field(
        default=None,
        description="The new image: its id, or a name that matches exactly one active image. "
        "Pinned to its id when the run is created. Every server needs one, from here or of its own, "
        "unless it is reinstalled.",
    )
    reinstall: Reinstall | None = Field(
        default=None,
        description="true: the image that the server runs, once more, also where `image` would skip the server. "
        "In place of `image`.",
    )
    api: Literal["auto", "v1", "v2"] = Field(
        default="auto",
        description="The call: v1 for images without cloud-init, v2 for images with it, auto to choose.",
    )
    keyname: Text | None = Field(default=None, description="SSH key pair. At most one of keyname and adminpass.")
    userid: UserId | None = Field(
        default=None, description="The user that owns the key pair. Left out: the user that fleetos works as."
    )
    adminpass: Secret | None = Field(
        default=None,
        description="Where the new password is found: {env: NAME} or {file: PATH}. A literal password is refused.",
    )
    user_data: UserData | None = Field(
        default=None,
        description="User data for cloud-init, {file: PATH} or {text: ...}; v2 only, at most 32 KiB. "
        "Only its digest is stored.",
    )
    metadata: MetadataSection | None = Field(default=None, description="Metadata of the change, by the API's own keys.")


class _Listed(Section):
    change: ChangeSection | None = Field(
        default=None,
        description="Keys that differ for this server. Its own login replaces the plan's, be it key pair or password.",
    )
    labels: dict[LabelName, LabelValue] = Field(
        default={},
        max_length=LABELS_MAX,
        description="Names and values of your own, shown in outputs.",
        json_schema_extra={"additionalProperties": False},
    )


class ServerById(_Listed):
    """A server by its id."""

    id: Id = Field(description="The server's id.")


class ServerByName(_Listed):
    """A server by its name."""

    name: ServerName = Field(description="The server's exact name; exactly one server must have it.")


class ServerFile(Section):
    """Servers in a CSV file."""

    file: FilePath = Field(description="A CSV file with a header: a column id or name, and one column for each label.")


class SelectSection(Section):
    """Servers by what the cloud says of them: those that fit every key, each by any of its values."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: OneOrMore[Name] | None = Field(
        default=None, description="A case-sensitive glob for the name, or a list of them: `*`, `?` and `[...]`."
    )
    tags: dict[TagKey, OneOrMore[TagValue]] | None = Field(
        default=None,
        min_length=1,
        max_length=SELECT_VALUES_MAX,
        description='Tags by key and value. "*": whatever the value, or none; "": the key without a value.',
        json_schema_extra={"additionalProperties": False},
    )
    az: OneOrMore[ExactText] | None = Field(default=None, description="The availability zone.")
    image: OneOrMore[ExactText] | None = Field(
        default=None, description="The image that the server runs: its id, or the name that the server shows for it."
    )
    flavor: OneOrMore[ExactText] | None = Field(default=None, description="The flavor's id.")
    status: OneOrMore[SelectableStatus] | None = Field(default=None, description="The cloud's word for its status.")
    enterprise_project: OneOrMore[EnterpriseProject] | None = Field(
        default=None, description='The enterprise project: its id, "0" for the default one, or its name.'
    )
    ip: OneOrMore[NetworkText] | None = Field(
        default=None, description="An address of the server, fixed or floating, or a range such as 10.0.0.0/24."
    )


class ServerSelect(_Listed):
    """Servers by what the cloud says of them."""

    select: SelectSection = Field(
        description="Which servers: those that fit every key, each by any of its values. "
        "Found once, when the run is created; servers that are being built are never among them."
    )


class ExcludedId(Section):
    """A server that is left out, by its id."""

    id: Id = Field(description="The id of a server that the project has.")


class ExcludedName(Section):
    """Servers that are left out, by name."""

    name: Name = Field(
        description="A case-sensitive glob, `*`, `?` and `[...]`, or the name of a server that the project has."
    )


def _entry_kind(value: object) -> str | None:
    """Return the key by which an entry names its servers; None if there is none. A second one is refused as unknown."""
    if not isinstance(value, dict):
        return None
    keys = cast("dict[object, object]", value)
    return next((kind for kind in ("id", "name", "file", "select") if kind in keys), None)


ServerEntry = Annotated[
    Annotated[ServerById, Tag("id")]
    | Annotated[ServerByName, Tag("name")]
    | Annotated[ServerFile, Tag("file")]
    | Annotated[ServerSelect, Tag("select")],
    Discriminator(_entry_kind),
]
ExcludeEntry = Annotated[
    Annotated[ExcludedId, Tag("id")] | Annotated[ExcludedName, Tag("name")],
    Discriminator(_entry_kind),
]


class RolloutSection(Section):
    """The pace, and what is done to power."""

    concurrency: Concurrency = Field(
        default=_ROLLOUT.concurrency,
        description="OS changes in flight at once: a number, or a percentage of the targets (rounds down, never to 0).",
    )
    stop: Literal["soft", "hard", "soft-then-hard", "api"] = Field(
        default=_ROLLOUT.stop.value,
        description="How a running server is stopped. api: the cloud does it (mode withStopServer).",
    )
    force: bool = Field(default=_ROLLOUT.force, description="true: change servers that already run the image, too.")
    power_after: Literal["running", "as-before"] = Field(
        default=_ROLLOUT.power_after.value,
        description="as-before: a server that was stopped is stopped again after its change.",
    )
    order: list[OrderKey] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="The order of the servers, the weightiest key first: listed, name, az, flavor, label:NAME, "
        "down-first (those that do not run), spread (round-robin over az, flavor and old image). "
        "Left out: [spread] with waves, else [listed].",
    )
    waves: list[WaveEntryKeys] | None = Field(
        default=None,
        min_length=1,
        max_length=WAVE_ENTRIES_MAX,
        description="Sizes of successive waves, of which the last repeats, or entries with `sizes`. A size is a number "
        "of servers, or a percentage (rounds down, never to 0).",
    )
    between_waves: ThenSection | None = Field(default=None, description="Conditions between two waves.")
    max_unavailable: list[UnavailableSection] | None = Field(
        default=None,
        min_length=1,
        max_length=GROUP_RULES_MAX,
        description="How many servers of a group may be out at once.",
    )


class FailureSection(Section):
    """The number of attempts, the waits between them, and the failures that pause the run."""

    attempts: int = Field(default=_FAILURE.attempts, ge=1, le=ATTEMPTS_MAX, description="OS changes tried per server.")
    backoff: Wait = Field(
        default=_FAILURE.backoff_s, description="Wait before the second attempt; doubles, with jitter."
    )
    max_backoff: Wait = Field(default=_FAILURE.max_backoff_s, description="The longest wait between two attempts.")
    first: First = Field(
        default=_FAILURE.first,
        description="The run pauses when the first so many servers that ended all failed; off: it never does.",
    )
    max_failed: FailureShare | None = Field(
        default=None,
        description="The run pauses when more servers failed: a number, or a percentage (rounds down, also to 0).",
    )
    max_failed_per_wave: FailureShare | None = Field(
        default=None,
        description="The run pauses when more servers of a wave failed. Left out: 5% where there are waves.",
    )
    of_last: OfLastSection | None = Field(
        default=None, description="The run pauses when more of the servers that ended last failed."
    )
    on_exceeded: Literal["pause", "end"] | None = Field(
        default=None, description="pause (the default), or end: what is not started yet is cancelled."
    )


class TimeoutsSection(Section):
    """Time limits of each step."""

    stop: StepTime = Field(default=_TIMEOUTS.stop_s, description="For a stop to be final.")
    change: StepTime = Field(default=_TIMEOUTS.change_s, description="For a change, from its acceptance.")
    settle: Settle = Field(
        default=_TIMEOUTS.settle_s,
        description="How long an unknown outcome is watched before it is judged. auto: 10m on Open Telekom Cloud, "
        "30m elsewhere, 10s on a simulated cloud. Less than 10m is refused except on a simulated cloud.",
    )
    start: StepTime = Field(default=_TIMEOUTS.start_s, description="For a start to be final.")


class PollingSection(Section):
    """Bounds of the learned interval at which jobs and servers are read."""

    min: Interval = Field(default=_POLLING.min_s, description="The shortest interval.")
    max: Interval = Field(default=_POLLING.max_s, description="The longest interval.")


class ApiSection(Section):
    """Bounds of the requests to the cloud's API."""

    rate: ApiRate = Field(
        default=None,
        description="Requests in a time, such as 200/5m or 10/s; never more than that in any such time. "
        "auto: 5 reads and 1 write a second until the cloud teaches otherwise; a simulated cloud: unlimited.",
    )
    connections: int = Field(default=_API.connections, ge=1, le=CONNECTIONS_MAX, description="Connections at once.")


class PlanShape(Section):
    """A fleetos plan: which servers get which image, and at what pace."""

    model_config = ConfigDict(title="fleetos plan")

    version: Version = Field(description="The version of the plan's format: 1.")
    name: RunName = Field(description="The name of the plan and its runs.")
    cloud: Text | None = Field(
        default=None,
        description='An entry of clouds.yaml, or "sim" for the built-in simulated cloud. '
        "Left out: --cloud, $OS_CLOUD, then the OS_* variables.",
    )
    region: Text | None = Field(default=None, description="The region, where the cloud entry does not say it.")
    change: ChangeSection = Field(default=ChangeSection(), description="What every server gets.")
    servers: list[ServerEntry] = Field(
        min_length=1, max_length=PLAN_MAX_SERVERS, description="The servers, in the order in which they are changed."
    )
    exclude: list[ExcludeEntry] = Field(default=[], description="Servers that are left out.")
    allow_managed: list[ServerName] = Field(
        default=[],
        max_length=PLAN_MAX_SERVERS,
        description="Servers, by id or exact name, that are changed although they belong to another service of the "
        "platform, such as nodes of a CCE cluster. Without it such servers are refused.",
    )
    allow_protected: list[ServerName] = Field(
        default=[],
        max_length=PLAN_MAX_SERVERS,
        description="Servers, by id or exact name, that are changed although they have the tag `fleetos-protect`. "
        "Without it such servers are refused.",
    )
    rollout: RolloutSection = Field(default=RolloutSection(), description="The pace, and what is done to power.")
    failure: FailureSection = Field(
        default=FailureSection(), description="How often a server's change is tried, and when failures pause the run."
    )
    timeouts: TimeoutsSection = Field(default=TimeoutsSection(), description="How long each step may take.")
    polling: PollingSection = Field(
        default=PollingSection(), description="Bounds of the learned interval at which jobs and servers are read."
    )
    windows: WindowsSection | None = Field(default=None, description="When servers may be changed.")
    notify: list[NotifySection] = Field(
        default=[], max_length=NOTIFY_ENTRIES_MAX, description="Who is told what the run comes to."
    )
    protect: bool = Field(default=False, description="true: the plan must say `max_failed` and `waves`.")
    api: ApiSection = Field(default=ApiSection(), description="What the cloud's API may be asked for.")
