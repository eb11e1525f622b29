"""JSON of `explain`. Its fields are documented in docs/reference/outputs.md."""

from collections.abc import Sequence
from datetime import tzinfo

from fleetos.model.journal.events import Record
from fleetos.model.run import Target
from fleetos.rules.admission.pass_facts import RolloutFacts
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.documents.events import event_document
from fleetos.views.documents.rollout import group_fields, wave_fields, window_fields
from fleetos.views.documents.run import target_document
from fleetos.views.text.explanation import Explanation
from fleetos.views.text.format import timestamp_or_none
from fleetos.views.text.run_condition import Driver


def explanation_document(
    facts: RolloutFacts,
    target: Target,
    lease: Driver | None,
    explained: Explanation,
    records: Sequence[Record],
    zone: tzinfo | None,
) -> Document:
    """Return the explanation of a target, with its last records. `zone`: that of the plan's windows."""
    standing = facts.standing
    run, ends_at = standing.run, explained.ends_at
    windows = (standing.find_window(target),)
    local = None if ends_at is None or zone is None else ends_at.astimezone(zone).isoformat(timespec="seconds")
    return {
        "v": VERSION,
        "run": {
            "id": run.id,
            "name": run.name,
            "state": run.state.value,
            "not_before": timestamp_or_none(run.steering.not_before),
        },
        "target": target_document(standing, target, lease),
        "stands": explained.stands.value,
        "why": explained.words,
        "ended_by": explained.ended_by.value,
        "end": explained.end or None,
        "ends_at": timestamp_or_none(ends_at),
        "ends_at_local": local,
        "commands": list(explained.commands),
        "usual_s": explained.usual_s,
        "wave": next((wave_fields(wave, facts) for wave in run.steering.waves if wave.number == target.wave), None),
        "window": None if run.steering.windows is None else window_fields(windows, standing.now),
        "groups": [group_fields(group) for group in standing.groups.of_server(target.server_id)],
        "disk": {"id": explained.disk, "fate": explained.fate.value},
        "events": [event_document(record, run.id, target.name) for record in records],
    }
