"""What holds for any sequence of pictures, answers and jobs that a cloud may show to one target."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetos.clock import Moment
from fleetos.engine.observations import TargetObservations
from fleetos.model.inventory import Delivered, Job, JobStatus, Reply, ServerSnapshot, Unanswered, Undelivered
from fleetos.model.journal.events import ChangeIntended, Moved, PowerIntended, RunMoved, TargetEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.run import Settings, Target
from fleetos.model.states import HOLDS_SLOT, QUEUED, TargetState
from fleetos.model.traces import NO_TRACES
from fleetos.rules.decide import decide
from fleetos.rules.needs import Context, PowerNeed, ReadJobNeed, ReadTracesNeed, SubmitNeed, WriteEvents
from fleetos.rules.outcomes import backoff_s
from fleetos.rules.replies import judge_change_reply, judge_job, judge_power_reply
from tests.support.builders import (
    CHANGED,
    CHANGED_DOWN,
    CHANGED_ERROR,
    ERROR,
    FOREIGN,
    NO_DISK,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    STOPPING,
    a_target,
    an_attempt,
)
from tests.support.seeded_examples import EXAMPLES_FACTOR
from tests.unit.rules.contexts import context, moment, sight

S = TargetState
PICTURES = st.sampled_from(
    [
        RUNNING,
        STOPPED,
        STOPPING,
        REBUILD,
        ERROR,
        NO_DISK,
        CHANGED,
        CHANGED_DOWN,
        CHANGED_ERROR,
        FOREIGN,
        replace(STOPPED, disk="disk-foreign"),
        replace(STOPPED, image="image-new"),
        replace(ERROR, disk="disk-half", image=None),
        replace(STOPPED, task="powering-on"),
        None,
        # Most often what a send needs, so that walks get beyond it.
        *9 * [STOPPED],
    ]
)
REPLIES: st.SearchStrategy[Reply] = st.sampled_from(
    [
        Delivered(200, job_id="job-1"),
        Delivered(400, code="Ecs.0100"),
        Delivered(400, code="Ecs.0314"),
        Delivered(400, code="Ecs.0605"),
        Delivered(429, code="APIGW.0308"),
        Delivered(401),
        Delivered(500),
        Unanswered("reset"),
        Undelivered("refused"),
        *4 * [Delivered(200, job_id="job-1"), Unanswered("reset")],
    ]
)
JOBS = st.sampled_from([None, *(Job("job-1", status) for status in JobStatus)])
# How long the picture stays, seen every 20 s.
STAYS = st.sampled_from([1, 2, 4, 31, 130, 220])
STEPS = st.lists(st.tuples(PICTURES, STAYS, REPLIES, JOBS, st.booleans()), max_size=14)
MODES = st.sampled_from(list(StopMode))


@dataclass
class TargetUnderTest:
    """One target under the rules: looks in, events and writes out. Judges each send as it leaves."""

    target: Target
    numbers: Settings
    now: Moment = field(default_factory=lambda: moment(0))
    shown: ServerSnapshot | None = None
    sends: int = 0
    finishing: bool = False
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.sighting = TargetObservations(self.now, self.now)

    def context(self) -> Context:
        return replace(
            context(settings=self.numbers),
            now=self.now,
            entered_at=self.sighting.entered_at,
            series=self.sighting.series,
            traces=self.sighting.traces,
            run_running=not self.finishing,
            run_finishing=self.finishing,
        )

    def write(self, event: TargetEvent | RunMoved) -> None:
        if isinstance(event, RunMoved):
            return
        before = self.target
        self.target = fold_target(before, event, self.now.wall)
        self.sighting = self.sighting.after_event(before, self.target, event, self.now)

    def show(self, picture: ServerSnapshot | None, reply: Reply, job: Job | None) -> None:
        """Shows the picture for one look, 20 s after the last, and plays what the rules make of it."""
        self.seconds += 20
        self.now, self.shown = moment(self.seconds), picture
        self.sighting = self.sighting.with_observation(self.target.state, sight(self.seconds, picture))
        for _ in range(12):
            if self.target.ended:
                return
            if self.target.state in QUEUED:
                if self.target.not_before is not None and self.target.not_before > self.now.wall:
                    return
                self.write(Moved(self.target.server_id, S.CHECKING))
            decision = decide(self.target, self.context())
            if isinstance(decision, WriteEvents):
                for event in decision.events:
                    self.write(event)
                continue
            served = [self.serve(need, reply, job) for need in decision]
            if not any(served):
                return

    def serve(self, need: object, reply: Reply, job: Job | None) -> bool:
        match need:
            case ReadTracesNeed():
                self.sighting = replace(self.sighting, traces=NO_TRACES)
                return True
            case ReadJobNeed():
                events = judge_job(self.target, need.job_id, job, self.context())
                for event in events:
                    self.write(event)
                return bool(events)
            case PowerNeed():
                self.power(need, reply)
                return True
            case SubmitNeed():
                self.submit(reply)
                return True
            case _:
                return False

    def power(self, need: PowerNeed, reply: Reply) -> None:
        assert self.target.state not in HOLDS_SLOT
        self.write(PowerIntended(self.target.server_id, f"call-{self.seconds}", need.verb, need.hard, 1))
        for event in judge_power_reply(self.target, self.target.calls[-1], reply, self.context()):
            self.write(event)

    def submit(self, reply: Reply) -> None:
        assert self.sighting.series is not None
        seen = self.sighting.series.snapshot
        assert seen is not None
        # The heart of it: what is shown at this moment is the disk that may be wiped, on an idle server.
        assert seen == self.shown
        assert seen.disk == self.target.disk is not None
        assert seen.idle
        if self.numbers.stop is not StopMode.API:
            assert not seen.running
        number = len(self.target.attempts) + (self.target.attempt is None)
        self.write(ChangeIntended(self.target.server_id, number, seen, self.now.wall))
        self.sends += 1
        attempt = self.target.attempt
        assert attempt is not None
        assert sum(one.accepted_at is not None for one in self.target.attempts) < self.target.attempts_allowed
        for event in judge_change_reply(self.target, attempt, reply, self.context()):
            self.write(event)


def play(player: TargetUnderTest, steps: list[tuple[ServerSnapshot | None, int, Reply, Job | None, bool]]) -> None:
    allowed = player.target.attempts_allowed
    for picture, stays, reply, job, abort in steps:
        player.finishing = player.finishing or (abort and stays == 2)
        for _ in range(stays):
            player.show(picture, reply, job)
            assert len(player.target.attempts) <= allowed
            if player.target.ended:
                return


BEGINNINGS = st.sampled_from(
    [
        a_target(state=S.CHECKING),
        a_target(state=S.STOPPING),
        *3 * [a_target(state=S.READY, stopped_at=START)],
        a_target(state=S.INSPECTING, attempts=(an_attempt(unanswered=1),), last_unanswered_at=START),
        a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-1"),)),
        a_target(state=S.CHANGING, attempts=(an_attempt(adopted=True, unanswered=1),), last_unanswered_at=START),
        a_target(state=S.VERIFYING, attempts=(an_attempt(accepted_at=START, job_id="job-1"),)),
    ]
)


@settings(max_examples=60 * EXAMPLES_FACTOR, deadline=None)
@given(beginning=BEGINNINGS, steps=STEPS, mode=MODES, after=st.sampled_from(PowerAfter))
def test_no_send_but_at_the_disk_that_may_be_wiped(
    beginning: Target,
    steps: list[tuple[ServerSnapshot | None, int, Reply, Job | None, bool]],
    mode: StopMode,
    after: PowerAfter,
) -> None:
    play(TargetUnderTest(beginning, replace(SETTINGS, stop=mode, power_after=after)), steps)


@settings(max_examples=40 * EXAMPLES_FACTOR, deadline=None)
@given(beginning=BEGINNINGS, picture=PICTURES, reply=REPLIES, job=JOBS, mode=MODES)
def test_a_cloud_that_stays_as_it_is_brings_every_target_to_rest(
    beginning: Target, picture: ServerSnapshot | None, reply: Reply, job: Job | None, mode: StopMode
) -> None:
    """Every state in flight has an end of its own, whatever the cloud goes on to show and to answer."""
    steady_reply = Delivered(400, code="Ecs.0314") if isinstance(reply, Delivered) and reply.status == 429 else reply
    player = TargetUnderTest(beginning, replace(SETTINGS, stop=mode))
    for _ in range(6 * 180):
        player.show(picture, steady_reply, job)
        if player.target.ended:
            return
    assert player.target.ended, player.target


@given(used=st.integers(1, 200), fraction=st.floats(0, 1, exclude_max=True), base=st.floats(0.1, 1000))
def test_a_backoff_stays_within_the_plan_s_bounds(used: int, fraction: float, base: float) -> None:
    numbers = replace(SETTINGS, backoff_s=base, max_backoff_s=900.0)
    found = backoff_s(used, replace(context(settings=numbers), fraction=fraction))
    assert 0.75 * min(base, 900.0) <= found <= 900.0
