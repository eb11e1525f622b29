"""Faults in what may be wiped, and in what is recorded as an end."""

from tests.simulation.mutations.patches import Mutation, Patch
from tests.simulation.mutations.shared_patches import CLOUD, FOLD, NO_DISK_RULE, NOT_SENT, RULES, one

_EVIDENCE = f"{CLOUD}/api/action_log.py"
# Few worlds lose an answer and have a log that alone tells.
LOGS = (
    Mutation(
        "action-of-another",
        "I12",
        "whoever has made the change that the cloud's log shows, it counts as ours",
        one(_EVIDENCE, "actions[0].name != _CHANGE or actions[0].user_id != user_id", "actions[0].name != _CHANGE"),
        seeds=600,
    ),
    Mutation(
        "action-without-an-end",
        "I12",
        "a change that the cloud's log shows without an end has failed",
        one(
            _EVIDENCE,
            "LoggedChange(action.started_at, LoggedEnd.RUNNING)",
            "LoggedChange(action.started_at, LoggedEnd.ERROR)",
        ),
        seeds=600,
    ),
    Mutation(
        "action-whatever-its-result",
        "I12",
        "a change whose end the cloud's log shows has failed, whatever its result",
        one(_EVIDENCE, '_ENDS["error" if "error" in results else "success"]', "LoggedEnd.ERROR"),
        seeds=600,
    ),
)
DISKS = (
    Mutation(
        "no-disk-rule",
        "I2",
        "whatever disk a server has may be wiped",
        (*NO_DISK_RULE, Patch(f"{RULES}/states/power.py", "    if snapshot.disk != target.disk:\n", "    if False:\n")),
    ),
    Mutation(
        "old-look",
        "I2",
        "a write leaves by whatever was seen last, however long it had to wait",
        one(
            "fleetos/rules/states/ready.py",
            "    return series is not None and context.now.since_s(series.last.requested) <",
            "    return series is not None or context.now.since_s(context.entered_at) <",
        ),
    ),
    Mutation(
        "reset-wipes-again",
        "I2",
        "a lost answer counts as a request that never left, and whatever disk is there by then may be wiped",
        (NOT_SENT, *NO_DISK_RULE),
    ),
    Mutation(
        "job-is-proof",
        "I12",
        "a job that succeeded is proof of a change, and nobody looks",
        one(
            f"{RULES}/states/verifying.py",
            "    if disk is DiskMatch.NEW and ours and succeeded and snapshot.running:\n",
            "    if succeeded:\n",
        ),
    ),
    Mutation(
        "gone-at-once",
        "I12",
        "a server of which one read says that there is none counts as deleted",
        one(f"{RULES}/outcomes.py", " and series.unchanged_s() >= context.cap_on_loopback_s(DELETED_APART_S)", ""),
    ),
    Mutation(
        "skipped-by-image",
        "I12",
        "a server that shows the image is skipped, whatever state it is in",
        one(
            "fleetos/planning/preflight/preflight.py",
            " == image_id and snapshot.idle and snapshot.fault is None and snapshot.status in _QUIET",
            " == image_id",
        ),
    ),
    Mutation(
        "stops-are-forgotten",
        "I12",
        "nobody remembers which servers were stopped",
        one(
            FOLD,
            'stopped_at = (target.stopped_at or at) if event.verb == "stop" else target.stopped_at',
            "stopped_at = target.stopped_at",
        ),
    ),
)
