"""The digest by which a plan is known again: what it says, not how or where it is written."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace

from fleetos.model.plan import ApiChoice, ChangeSpec, Plan, ServerRef
from fleetos.model.run import Scope

# Stands in every digest; raised when the same plan must no longer be taken for the same.
_FORM = 2


def content_digest(plan: Plan) -> str:
    """The SHA-256, in hex, of all that the plan says except cloud and region.

    Defaults are filled in and durations are numbers, so formatting does not count; neither does where the plan and
    its CSV files lie, nor whether a server stands in the plan or in a CSV file. User data counts by its content, a
    password by the place where it is found, and a selector by what it says, not by the servers that it means.
    """
    base = replace(plan.change, api=plan.change.api or ApiChoice.AUTO, metadata=plan.change.metadata or {})
    common = _change(base, {})
    content: dict[str, object] = {
        "form": _FORM,
        "name": plan.name,
        "change": common,
        "servers": [_server(server, common) for server in plan.servers],
        "exclude": [(one.id, one.name) for one in plan.exclude],
        "rollout": asdict(plan.rollout),
        "failure": asdict(plan.failure),
        "timeouts": asdict(plan.timeouts),
        "polling": asdict(plan.polling),
        "api": asdict(plan.api),
    }
    if plan.allow_managed:
        content["allow_managed"] = sorted(one.server for one in plan.allow_managed)
    return _sha256(content)


def run_digest(plan: Plan, scope: Scope) -> str:
    """Return the digest of the plan in that cloud, region and project: `sha256:` and 64 hex digits.

    The project counts because OS_* variables name no cloud: the same plan in another project is another run. The
    endpoint does not, since one project may be reached by several.
    """
    where = {"cloud": scope.cloud, "region": scope.region, "project": scope.project_id}
    return "sha256:" + _sha256({"form": _FORM, "plan": plan.digest, **where})


def _server(server: ServerRef, common: Mapping[str, object]) -> tuple[object, ...]:
    said = (server.id, server.name, _change(server.change, common), sorted(server.labels.items()))
    return said if server.select is None else (*said, server.select.written)


def _change(change: ChangeSpec, common: Mapping[str, object]) -> Mapping[str, object]:
    """What is written of a change and differs from what every server gets."""
    written = dict(change.written)
    if change.adminpass is not None:
        written["adminpass"] = [change.adminpass.kind, change.adminpass.where]
    if change.user_data is not None:
        written["user_data"] = change.user_data.sha256
    if change.metadata is not None:
        written["metadata"] = dict(change.metadata)
    return {key: value for key, value in written.items() if key not in common or common[key] != value}


def _sha256(content: Mapping[str, object]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
