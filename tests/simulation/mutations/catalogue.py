"""The deliberate faults: what a client that is less careful would do. Each names the invariant that must find it."""

from collections.abc import Sequence

from tests.simulation.mutations.of_content import CONTENT, EVIDENCE
from tests.simulation.mutations.of_ends import DISKS, LOGS
from tests.simulation.mutations.of_runs import CLOUD_SIDE, JOURNAL, ROLLOUT
from tests.simulation.mutations.of_writes import POWER, SENDING
from tests.simulation.mutations.patches import Mutation

MUTATIONS: Sequence[Mutation] = (*SENDING, *POWER, *DISKS, *LOGS, *ROLLOUT, *JOURNAL, *CLOUD_SIDE, *CONTENT, *EVIDENCE)
