"""Faults in what may be wiped, and in what is recorded as an end."""

from tests.simulation.mutations.parts import FOLD, NO_DISK_RULE, NOT_SENT, RULES, one
from tests.simulation.mutations.patches import Mutation, Patch

DISKS = (
    Mutation(
        "no-disk-rule",
        "I2",
        "whatever disk a server has may be wiped",
        (*NO_DISK_RULE, Patch(f"{RULES}/power.py", "    if seen.disk != target.disk:\n", "    if False:\n")),
    ),
    Mutation(
        "old-look",
        "I2",
        "a write leaves by whatever was seen last, however long it had to wait",
        one(
            f"{RULES}/steps.py",
            "    return watch is not None and context.now.since_s(watch.last.requested) <",
            "    return watch is not None or context.now.since_s(context.entered) <",
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
            f"{RULES}/ended.py",
            "    if disk is Disk.NEW and ours and succeeded and seen.running:\n",
            "    if succeeded:\n",
        ),
    ),
    Mutation(
        "gone-at-once",
        "I12",
        "a server of which one read says that there is none counts as deleted",
        one(f"{RULES}/ends.py", " and watch.same_s() >= context.short(GONE_APART_S)", ""),
    ),
    Mutation(
        "skipped-by-image",
        "I12",
        "a server that shows the image is skipped, whatever state it is in",
        one(
            "fleetos/planning/preflight.py",
            " == image_id and picture.idle and picture.fault is None and picture.status in _QUIET",
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
