"""Fault rules as a scenario declares them, and their effect on one request.

A rule has its operations (`on`), its kind (`do`) and its conditions: rate, servers, occurrences. `fault_table.py`
decides which rules strike; the effect of a rule is in its class here.
"""

from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fleetos.sim.random_draws import Key, RandomDraws
from fleetos.sim.wire.error_codes import ApiError, Form, refusal

Operation = Literal[
    "token", "detail", "list", "job", "changeos", "reinstallos", "stop", "start", "reboot", "actions", "action",
    "block-device",
    "volumes", "volume", "images", "keypairs", "keypair", "projects", "native-servers", "native-images",
    "versions", "version", "flavors", "limits", "disk-quota", "key", "enterprise-projects", "credential",
]  # fmt: skip
FaultScope = Operation | Literal["any", "read", "write"]
WRITES: frozenset[Operation] = frozenset({"changeos", "reinstallos", "stop", "start", "reboot"})

# State that a server shows during a change, and after a failed one.
ChangePicture = Literal["rebuild", "idle", "no-disk", "early-disk"]
FailurePicture = Literal["old-disk", "no-disk", "new-disk", "error", "endless"]
ImageFlip = Literal["start", "end", "late", "never"]
Garble = Literal["html", "truncated", "oversized", "empty", "garbage", "no-job-id"]
LostAnswer = Literal["cut", "close", "hang", "504"]
T = TypeVar("T")
S = TypeVar("S", bound=str)
OneOrMore = Annotated[tuple[T, ...], Field(min_length=1)]
Seconds = Annotated[float, Field(ge=0, le=10**7)]
Span = tuple[Seconds, Seconds]


class Model(BaseModel):
    """Frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FailureOutcome(Model):
    """Failure of an accepted change, stop or start."""

    code: str
    reason: str
    picture: FailurePicture = "old-disk"


class FaultEffect(Model):
    """Effect of the rules on one request, or on one server of it. By default none."""

    rules: tuple[int, ...] = ()
    """Indexes of the rules that struck, from 0."""
    # On the wire, before the request reaches the world.
    refuse: ApiError | None = None
    dropped: LostAnswer | Literal["unreachable"] | None = None
    """The request is lost; the value is how the client notices."""
    # On the wire, after the effect.
    lost: LostAnswer | None = None
    """The response is lost; the value is how the client notices."""
    error_after: ApiError | None = None
    garble: Garble | None = None
    hang_s: float = 3600.0
    """Duration of a hang."""
    delay_s: float = 0.0
    """Delay of the response."""
    stale_s: float = 0.0
    """Age of the snapshot that a read returns."""
    late_s: float | None = None
    """Delay of the only delivery."""
    double_s: float | None = None
    """Delay of a second delivery."""
    # In the world.
    fail: FailureOutcome | None = None
    no_effect: bool = False
    """The job succeeds, and nothing happens."""
    stuck: bool = False
    """The job stays INIT for ever."""
    lag_s: float = 0.0
    """Delay of the effect after the end of the job."""
    picture: ChangePicture | None = None
    image_flips: ImageFlip | None = None
    job_visible_after_s: float | None = None
    job_vanishes_after_s: float | None = None


NO_EFFECT = FaultEffect()


class RuleBase(Model):
    """Base of the rules: operations and conditions.

    `nth` counts, from 1, the requests of one operation for one server, or of those that name none or several.
    """

    in_world: ClassVar[bool] = False
    """The rule acts in the world, per server, and not on the wire."""
    on: FaultScope | OneOrMore[FaultScope]
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    servers: tuple[str, ...] = ()
    nth: tuple[Annotated[int, Field(ge=1)], ...] = ()
    per_server: Annotated[int, Field(ge=1)] | None = None

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        """Return the fields of FaultEffect that this rule sets."""
        raise NotImplementedError


class Refuse(RuleBase):
    """Error of the gateway or the API, without any effect."""

    do: Literal["refuse"]
    code: str | OneOrMore[str] = "Common.0001"
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    message: str | None = None
    form: Form | None = None

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        code = _pick_option(self.code, draws, "code", *key)
        return {"refuse": refusal(code, status=self.status, message=self.message, form=self.form)}


class ThrottleFault(RuleBase):
    """Status 429 beyond `requests` in a window of `per_s`; the message states the limit if `stated`."""

    do: Literal["throttle"]
    requests: Annotated[int, Field(ge=0)]
    per_s: Annotated[float, Field(gt=0)]
    stated: bool = True
    plain: bool = False
    retry_after_s: int | None = None

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        del draws, key
        window = f"{self.per_s / 60:g} minute" if self.per_s >= 60 else f"{self.per_s:g} second"
        limit = f",policy user over ratelimit,limit:{self.requests},time:{window}" if self.stated else ""
        message = f"The throttling threshold has been reached{limit}"
        form: Form | None = "plain" if self.plain else None
        error = refusal("APIGW.0308", message=message, form=form)
        return {"refuse": error.model_copy(update={"retry_after_s": self.retry_after_s})}


class LostBefore(RuleBase):
    """Loss of the request before it has any effect: no response."""

    do: Literal["cut-before", "close-before", "hang-before", "unreachable"]
    seconds: Seconds = 3600.0

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        del draws, key
        return {"dropped": self.do.removesuffix("-before"), "hang_s": self.seconds}


class LostAfter(RuleBase):
    """Loss of the response: the request has its effect."""

    do: Literal["cut-after", "close-after", "hang-after"]
    seconds: Seconds = 3600.0

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        del draws, key
        return {"lost": self.do.removesuffix("-after"), "hang_s": self.seconds}


class ErrorAfter(RuleBase):
    """Error response to a request that has its effect."""

    do: Literal["error-after"]
    code: str | OneOrMore[str] = "APIGW.0201"
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    form: Form | None = None

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        code = _pick_option(self.code, draws, "code", *key)
        return {"error_after": refusal(code, status=self.status, form=self.form)}


class Late(RuleBase):
    """Loss of the response, and an effect `seconds` after the request arrived at the gateway."""

    do: Literal["late"]
    seconds: Span
    answer: LostAnswer = "cut"

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        return {"late_s": draws.between(self.seconds, "late", *key), "lost": self.answer}


class Double(RuleBase):
    """Second delivery of the request by the gateway, `seconds` after the first."""

    do: Literal["double"]
    seconds: Span

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        return {"double_s": draws.between(self.seconds, "double", *key)}


class GarbleAnswer(RuleBase):
    """Unreadable body of the response to a request that has its effect."""

    do: Literal["garble"]
    body: Garble | OneOrMore[Garble] = "html"

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        return {"garble": _pick_option(self.body, draws, "garble", *key)}


class Latency(RuleBase):
    """Delay of the response."""

    do: Literal["latency"]
    seconds: Span

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        return {"delay_s": draws.between(self.seconds, "latency", *key)}


class StaleReadFault(RuleBase):
    """Old snapshot in a read of servers."""

    do: Literal["stale"]
    seconds: tuple[Annotated[float, Field(ge=0, le=60)], Annotated[float, Field(ge=0, le=60)]]

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        return {"stale_s": draws.between(self.seconds, "stale", *key)}


class Fail(RuleBase):
    """Failure of an accepted operation: its job ends with FAIL, and the server shows one of the pictures."""

    in_world: ClassVar[bool] = True
    do: Literal["fail"]
    code: str | OneOrMore[str] = "Ecs.0202"
    picture: FailurePicture | OneOrMore[FailurePicture] = "old-disk"

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        code = _pick_option(self.code, draws, "code", *key)
        picture: FailurePicture = _pick_option(self.picture, draws, "failed picture", *key)
        return {"fail": FailureOutcome(code=code, reason=refusal(code).message, picture=picture)}


class NoEffect(RuleBase):
    """Job that ends with SUCCESS although nothing has happened."""

    in_world: ClassVar[bool] = True
    do: Literal["no-effect"]

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        del draws, key
        return {"no_effect": True}


class Stuck(RuleBase):
    """Job that stays INIT for ever; the operation itself still happens if `effect_happens`."""

    in_world: ClassVar[bool] = True
    do: Literal["stuck"]
    effect_happens: bool = False

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        del draws, key
        return {"stuck": True, "no_effect": not self.effect_happens}


class Lag(RuleBase):
    """Effect `seconds` after the end of the job: a stop that acts late, a change that shows late."""

    in_world: ClassVar[bool] = True
    do: Literal["lag"]
    seconds: Span

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        return {"lag_s": draws.between(self.seconds, "lag", *key)}


class Show(RuleBase):
    """State that a server shows during its change, and the moment at which its image id becomes the new one."""

    in_world: ClassVar[bool] = True
    do: Literal["show"]
    picture: ChangePicture | OneOrMore[ChangePicture] | None = None
    image_flips: ImageFlip | OneOrMore[ImageFlip] | None = None

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        fields: dict[str, object] = {}
        if self.picture is not None:
            fields["picture"] = _pick_option(self.picture, draws, "picture", *key)
        if self.image_flips is not None:
            fields["image_flips"] = _pick_option(self.image_flips, draws, "flip", *key)
        return fields


class JobLife(RuleBase):
    """Time at which a job becomes visible, and time after its end at which it is purged."""

    in_world: ClassVar[bool] = True
    do: Literal["job-life"]
    visible_after_s: Seconds | None = None
    vanishes_after_s: Seconds | None = None

    def fields(self, draws: RandomDraws, *key: Key) -> dict[str, object]:
        del draws, key
        fields = {"job_visible_after_s": self.visible_after_s, "job_vanishes_after_s": self.vanishes_after_s}
        return {name: value for name, value in fields.items() if value is not None}


Rule = Annotated[
    Refuse | ThrottleFault | LostBefore | LostAfter | ErrorAfter | Late | Double | GarbleAnswer | Latency
    | StaleReadFault | Fail | NoEffect | Stuck | Lag | Show | JobLife,
    Field(discriminator="do"),
]  # fmt: skip


def _pick_option(options: S | tuple[S, ...], draws: RandomDraws, kind: str, *key: Key) -> S:
    return options if isinstance(options, str) else draws.pick(options, kind, *key)
