"""The vocabulary of faults: rules as a scenario declares them, and the fate of one request that they add up to.

A rule says on which operations it strikes (`on`), what it does (`do`), and when: at which rate, on which servers, at
which occurrence. `fate_table.py` decides which rules strike; what a rule does is all in its class here.
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
Scope = Operation | Literal["any", "read", "write"]
WRITES: frozenset[Operation] = frozenset({"changeos", "reinstallos", "stop", "start", "reboot"})

# How a server looks while its OS changes, and after a change that failed (the cases a to e of what is known).
Picture = Literal["rebuild", "idle", "no-disk", "early-disk"]
FailurePicture = Literal["old-disk", "no-disk", "new-disk", "error", "endless"]
Flip = Literal["start", "end", "late", "never"]
Garble = Literal["html", "truncated", "oversized", "empty", "garbage", "no-job-id"]
Lost = Literal["cut", "close", "hang", "504"]
T = TypeVar("T")
S = TypeVar("S", bound=str)
OneOrMore = Annotated[tuple[T, ...], Field(min_length=1)]
Seconds = Annotated[float, Field(ge=0, le=10**7)]
Span = tuple[Seconds, Seconds]


class Model(BaseModel):
    """A frozen value that knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FailureOutcome(Model):
    """A change, stop or start that is accepted and fails."""

    code: str
    reason: str
    picture: FailurePicture = "old-disk"


class FaultEffect(Model):
    """What the rules have decided for one request, or for one server of a request. The default is: nothing."""

    rules: tuple[int, ...] = ()
    # On the wire, before the world sees the request.
    refuse: ApiError | None = None
    dropped: Lost | Literal["unreachable"] | None = None
    # On the wire, after the effect.
    lost: Lost | None = None
    error_after: ApiError | None = None
    garble: Garble | None = None
    hang_s: float = 3600.0
    delay_s: float = 0.0
    stale_s: float = 0.0
    late_s: float | None = None
    double_s: float | None = None
    # In the world.
    fail: FailureOutcome | None = None
    no_effect: bool = False
    stuck: bool = False
    lag_s: float = 0.0
    picture: Picture | None = None
    image_flips: Flip | None = None
    job_visible_after_s: float | None = None
    job_vanishes_after_s: float | None = None


NO_FATE = FaultEffect()


class RuleBase(Model):
    """When a rule strikes. `nth` counts, from 1, the requests of one operation for one server (or without one)."""

    effect: ClassVar[bool] = False
    on: Scope | OneOrMore[Scope]
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    servers: tuple[str, ...] = ()
    nth: tuple[Annotated[int, Field(ge=1)], ...] = ()
    per_server: Annotated[int, Field(ge=1)] | None = None

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        """Return the fields of the fate that this rule sets."""
        raise NotImplementedError


class Refuse(RuleBase):
    """The gateway or the API answers with an error, nothing happens."""

    do: Literal["refuse"]
    code: str | OneOrMore[str] = "Common.0001"
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    message: str | None = None
    form: Form | None = None

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        code = _one(self.code, chance, "code", *key)
        return {"refuse": refusal(code, status=self.status, message=self.message, form=self.form)}


class ThrottleFault(RuleBase):
    """429 to every request beyond `requests` in a window of `per_s`; the text names the limit if `stated`."""

    do: Literal["throttle"]
    requests: Annotated[int, Field(ge=0)]
    per_s: Annotated[float, Field(gt=0)]
    stated: bool = True
    plain: bool = False
    retry_after_s: int | None = None

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        del chance, key
        window = f"{self.per_s / 60:g} minute" if self.per_s >= 60 else f"{self.per_s:g} second"
        limit = f",policy user over ratelimit,limit:{self.requests},time:{window}" if self.stated else ""
        text = f"The throttling threshold has been reached{limit}"
        form: Form | None = "plain" if self.plain else None
        refused = refusal("APIGW.0308", message=text, form=form)
        return {"refuse": refused.model_copy(update={"retry_after_s": self.retry_after_s})}


class LostBefore(RuleBase):
    """The request is dropped before it has any effect, and no answer comes."""

    do: Literal["cut-before", "close-before", "hang-before", "unreachable"]
    seconds: Seconds = 3600.0

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        del chance, key
        return {"dropped": self.do.removesuffix("-before"), "hang_s": self.seconds}


class LostAfter(RuleBase):
    """The request has its effect, and no answer comes."""

    do: Literal["cut-after", "close-after", "hang-after"]
    seconds: Seconds = 3600.0

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        del chance, key
        return {"lost": self.do.removesuffix("-after"), "hang_s": self.seconds}


class ErrorAfter(RuleBase):
    """The request has its effect, and the answer is an error."""

    do: Literal["error-after"]
    code: str | OneOrMore[str] = "APIGW.0201"
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    form: Form | None = None

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        code = _one(self.code, chance, "code", *key)
        return {"error_after": refusal(code, status=self.status, form=self.form)}


class Late(RuleBase):
    """The answer is lost, and the request takes effect `seconds` after it arrived at the gateway."""

    do: Literal["late"]
    seconds: Span
    answer: Lost = "cut"

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        return {"late_s": chance.between(self.seconds, "late", *key), "lost": self.answer}


class Double(RuleBase):
    """The gateway delivers the request a second time, `seconds` after the first."""

    do: Literal["double"]
    seconds: Span

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        return {"double_s": chance.between(self.seconds, "double", *key)}


class GarbleAnswer(RuleBase):
    """The request has its effect, and the body of the answer cannot be read."""

    do: Literal["garble"]
    body: Garble | OneOrMore[Garble] = "html"

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        return {"garble": _one(self.body, chance, "garble", *key)}


class Latency(RuleBase):
    """The answer takes its time."""

    do: Literal["latency"]
    seconds: Span

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        return {"delay_s": chance.between(self.seconds, "latency", *key)}


class Stale(RuleBase):
    """Reads of servers show a picture of some time ago."""

    do: Literal["stale"]
    seconds: tuple[Annotated[float, Field(ge=0, le=60)], Annotated[float, Field(ge=0, le=60)]]

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        return {"stale_s": chance.between(self.seconds, "stale", *key)}


class Fail(RuleBase):
    """An accepted operation fails: its job ends with FAIL, the server shows one of the pictures."""

    effect: ClassVar[bool] = True
    do: Literal["fail"]
    code: str | OneOrMore[str] = "Ecs.0202"
    picture: FailurePicture | OneOrMore[FailurePicture] = "old-disk"

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        code = _one(self.code, chance, "code", *key)
        picture: FailurePicture = _one(self.picture, chance, "failed picture", *key)
        return {"fail": FailureOutcome(code=code, reason=refusal(code).message, picture=picture)}


class NoEffect(RuleBase):
    """The job ends with SUCCESS, and nothing has happened."""

    effect: ClassVar[bool] = True
    do: Literal["no-effect"]

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        del chance, key
        return {"no_effect": True}


class Stuck(RuleBase):
    """The job stays INIT for ever; the operation itself happens all the same if `effect_happens`."""

    effect: ClassVar[bool] = True
    do: Literal["stuck"]
    effect_happens: bool = False

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        del chance, key
        return {"stuck": True, "no_effect": not self.effect_happens}


class Lag(RuleBase):
    """The server follows `seconds` after its job has ended: a stop that acts late, a change that shows late."""

    effect: ClassVar[bool] = True
    do: Literal["lag"]
    seconds: Span

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        return {"lag_s": chance.between(self.seconds, "lag", *key)}


class Show(RuleBase):
    """What the server looks like while its OS changes, and when its image id becomes the new one."""

    effect: ClassVar[bool] = True
    do: Literal["show"]
    picture: Picture | OneOrMore[Picture] | None = None
    image_flips: Flip | OneOrMore[Flip] | None = None

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        fields: dict[str, object] = {}
        if self.picture is not None:
            fields["picture"] = _one(self.picture, chance, "picture", *key)
        if self.image_flips is not None:
            fields["image_flips"] = _one(self.image_flips, chance, "flip", *key)
        return fields


class JobLife(RuleBase):
    """From when and until when the cloud knows the job."""

    effect: ClassVar[bool] = True
    do: Literal["job-life"]
    visible_after_s: Seconds | None = None
    vanishes_after_s: Seconds | None = None

    def fields(self, chance: RandomDraws, *key: Key) -> dict[str, object]:
        del chance, key
        fields = {"job_visible_after_s": self.visible_after_s, "job_vanishes_after_s": self.vanishes_after_s}
        return {name: value for name, value in fields.items() if value is not None}


Rule = Annotated[
    Refuse | ThrottleFault | LostBefore | LostAfter | ErrorAfter | Late | Double | GarbleAnswer | Latency | Stale
    | Fail | NoEffect | Stuck | Lag | Show | JobLife,
    Field(discriminator="do"),
]  # fmt: skip


def _one(options: S | tuple[S, ...], chance: RandomDraws, kind: str, *key: Key) -> S:
    return options if isinstance(options, str) else chance.pick(options, kind, *key)
