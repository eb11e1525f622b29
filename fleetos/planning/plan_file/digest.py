"""Digest of a plan's meaning, independent of formatting."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from fleetos.model.plan import ApiChoice, ChangeSpec, FailurePolicy, Plan, ServerRef

if TYPE_CHECKING:
    # A plan is checked without runs.
    from fleetos.model.run import Scope

# Part of every digest. Raise it when an unchanged plan must get another digest.
_DIGEST_VERSION = 2


def content_digest(plan: Plan) -> str:
    """Return the SHA-256, in hex, of all that the plan says except cloud and region.

    Defaults are filled in and durations are numbers, so formatting does not count. Neither do the folders of the plan
    and its CSV files, nor whether a server is listed in the plan or in a CSV file. User data counts by its content, a
    password by the place where it is found, and a selector by what it says, not by the servers that it means.
    """
    base = replace(plan.change, api=plan.change.api or ApiChoice.AUTO, metadata=plan.change.metadata or {})
    common = _own_values(base, {})
    content: dict[str, object] = {
        "form": _DIGEST_VERSION,
        "name": plan.name,
        "change": common,
        "servers": [_server_content(server, common) for server in plan.servers],
        "exclude": [(entry.id, entry.name) for entry in plan.exclude],
        "rollout": asdict(plan.rollout),
        "failure": _failure_content(plan.failure),
        "timeouts": asdict(plan.timeouts),
        "polling": asdict(plan.polling),
        "api": asdict(plan.api),
    }
    if plan.allow_managed:
        content["allow_managed"] = sorted(entry.server for entry in plan.allow_managed)
    if plan.allow_protected:
        content["allow_protected"] = sorted(entry.server for entry in plan.allow_protected)
    if plan.notify:
        content["notify"] = [asdict(entry) for entry in plan.notify]
    if plan.steering.written:
        content["steering"] = _steering_content(plan)
    return _sha256(content)


def run_digest(plan: Plan, scope: "Scope") -> str:
    """Return the digest of the plan in that cloud, region and project: `sha256:` and 64 hex digits.

    The project counts because OS_* variables name no cloud: the same plan in another project is another run. The
    endpoint does not, since one project may be reached by several.
    """
    place = {"cloud": scope.cloud, "region": scope.region, "project": scope.project_id}
    return "sha256:" + _sha256({"form": _DIGEST_VERSION, "plan": plan.digest, **place})


def _failure_content(policy: FailurePolicy) -> Mapping[str, object]:
    """Return the section as a plan of an earlier version has it, with each newer key that differs from its default."""
    content = asdict(policy)
    if policy.first == FailurePolicy().first:
        del content["first"]
    return content


def _server_content(server: ServerRef, common: Mapping[str, object]) -> tuple[object, ...]:
    content = (server.id, server.name, _own_values(server.change, common), sorted(server.labels.items()))
    return content if server.select is None else (*content, server.select.written)


def _steering_content(plan: Plan) -> Mapping[str, object]:
    """Return the written keys of the steering, with the paths of calendars relative to the plan's folder.

    A calendar of `allow` counts by its content too; one of `deny` may change while the run goes on.
    """
    content = {key: value for key, value in asdict(plan.steering).items() if key in plan.steering.written}
    if plan.steering.windows is not None:
        for rule in (*(content["windows"]["allow"] or ()), *content["windows"]["deny"]):
            if "path" in rule["when"]:
                rule["when"]["path"] = os.path.relpath(rule["when"]["path"], plan.path.parent)
    return content


def _own_values(change: ChangeSpec, common: Mapping[str, object]) -> Mapping[str, object]:
    """Return the written values of a change that differ from those that every server gets."""
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
