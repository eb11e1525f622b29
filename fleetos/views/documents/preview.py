"""JSON of `plan`. Its fields are documented in docs/reference/outputs.md."""

from fleetos.model.findings import Finding, Level
from fleetos.model.preview import Act, Band, Preview, act_of
from fleetos.model.run import Target
from fleetos.model.states import Reason
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.documents.run import scope_fields
from fleetos.views.text.reasons import REASONS


def preview_document(preview: Preview) -> Document:
    """Return the whole plan: the action for each server, the findings, the rules and the estimate."""
    run, counts = preview.run, preview.counts
    return {
        "v": VERSION,
        "plan": {
            "name": run.name,
            "path": run.plan_path,
            "digest": run.digest,
            **scope_fields(run.scope),
        },
        "counts": {"total": len(preview.targets), **{act.value: counts.get(act, 0) for act in Act}},
        "images": [
            {"name": choice.name, "id": choice.id, "api": choice.api, "why": choice.why} for choice in preview.choices
        ],
        "selectors": [
            {"key": place.key, "place": str(place), "servers": count} for place, count in preview.selected.items()
        ],
        "servers": server_documents(preview),
        "findings": [finding_document(finding) for finding in preview.findings],
        "rules": _rules(preview),
        "estimate": _estimate(preview),
        "earlier_run": None if preview.earlier is None else {"id": preview.earlier.id, "state": preview.earlier.state},
    }


def server_documents(preview: Preview) -> list[Document]:
    """Return the action for each server, in the order of the plan."""
    refused = {finding.server_id: finding for finding in reversed(preview.findings) if finding.level is Level.REFUSED}
    return [_server(target, refused.get(target.server_id)) for target in preview.targets]


def _server(target: Target, refusal: Finding | None) -> Document:
    act = act_of(target)
    code, reason, hint = None, None, None
    if act is Act.SKIP:
        code = (target.reason or Reason.ALREADY_ON_IMAGE).value
        reason = REASONS[target.reason or Reason.ALREADY_ON_IMAGE].short
    elif act is Act.REFUSE:
        code = refusal.check.value if refusal else target.reason
        reason, hint = target.detail, refusal.hint if refusal else None
    return {
        "server_id": target.server_id,
        "name": target.name,
        "action": act.value,
        "code": code,
        "reason": reason,
        "hint": hint,
        "system_disk": target.baseline.disk,
        "image_before": target.baseline.likely_image,
        "image_after": target.order.image_id,
        "reinstall": target.order.reinstall,
        "api": target.order.api,
        "wave": target.wave or None,
    }


def finding_document(finding: Finding) -> Document:
    """Return one finding of the preflight."""
    return {
        "code": finding.check.value,
        "level": finding.level.value,
        "subject": finding.subject,
        "server_id": finding.server_id,
        "text": finding.text,
        "hint": finding.hint,
    }


def _rules(preview: Preview) -> Document:
    settings = preview.run.settings
    return {
        "concurrency": settings.concurrency,
        "attempts": settings.attempts,
        "failure_first": settings.failure_first,
        "steering": list(preview.steering),
        "stop": settings.stop.value,
        "force": settings.force,
        "power_after": settings.power_after.value,
        "stop_timeout_s": settings.stop_timeout_s,
        "change_timeout_s": settings.change_timeout_s,
        "start_timeout_s": settings.start_timeout_s,
        "settle_s": settings.settle_s,
    }


def _estimate(preview: Preview) -> Document:
    estimate = preview.estimate
    return {
        "change_s": _band(estimate.change),
        "run_s": None if estimate.run is None else _band(estimate.run),
        "source": "remembered" if estimate.remembered else "documented",
        "remembered": estimate.remembered,
        "reads": estimate.reads,
        "writes": estimate.writes,
        "read_rate_per_s": estimate.read_rate_per_s,
        "write_rate_per_s": estimate.write_rate_per_s,
    }


def _band(band: Band) -> list[float]:
    return [round(band.low_s, 3), round(band.high_s, 3)]
