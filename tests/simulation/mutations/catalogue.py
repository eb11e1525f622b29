"""The deliberate faults: what a client that is less careful would do. Each names the invariant that must find it."""

from collections.abc import Sequence

from tests.simulation.mutations.content_faults import CONTENT, EVIDENCE
from tests.simulation.mutations.outcome_faults import DISKS, LOGS
from tests.simulation.mutations.patches import Mutation
from tests.simulation.mutations.run_faults import BRAKE, CLOUD_SIDE, JOURNAL, REQUESTS, ROLLOUT
from tests.simulation.mutations.steering_faults import STEERING
from tests.simulation.mutations.write_faults import POWER, SENDING

MUTATIONS: Sequence[Mutation] = (
    *SENDING,
    *POWER,
    *DISKS,
    *LOGS,
    *ROLLOUT,
    *BRAKE,
    *REQUESTS,
    *JOURNAL,
    *CLOUD_SIDE,
    *CONTENT,
    *EVIDENCE,
    *STEERING,
)
