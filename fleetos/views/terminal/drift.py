"""What `drift` tells: of each server whether it runs the image that its plan names, and since when it does not."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.text import Text

from fleetos.model.drift import Cause, Drift, DriftState, LastChange, ServerDrift
from fleetos.model.inventory import Image
from fleetos.model.plan import Plan
from fleetos.model.run import Scope
from fleetos.names import shown
from fleetos.text import counted
from fleetos.views.documents.preview import finding_document
from fleetos.views.documents.run import VERSION, Document
from fleetos.views.terminal.preview import LEVEL_STYLES, finding_words
from fleetos.views.terminal.tables import Row, grid
from fleetos.views.text.format import printable, short_stamp, stamp

# Servers that a table on a terminal names of each verdict; all of them stand in a pipe and in `-o json`.
ROWS_SHOWN = 20
_GAP = 2
_STYLES = {DriftState.DRIFTED: "red", DriftState.UNKNOWN: "yellow", DriftState.SAME: "dim"}
_VERDICTS = {DriftState.DRIFTED: "drifted", DriftState.UNKNOWN: "unknown", DriftState.SAME: "on the image"}
_ORDER = tuple(DriftState)
_DOUBTS = {
    Cause.DELETED: "it was deleted",
    Cause.FROZEN: "it is frozen by the cloud",
    Cause.UNSETTLED: "its OS is being changed, or a change of it failed",
    Cause.NO_IMAGE: "the cloud shows no image for it",
    Cause.UNREADABLE: "what the cloud shows of it could not be read",
}
_KINDS = {Cause.OLDER: ", which is older than ", Cause.NEWER: ", which is newer than ", Cause.OTHER: " in place of "}


def drift_table(drift: Drift, width: int) -> Text:
    """The drift for a terminal: servers that drifted first, and of many alike the first few."""
    servers = sorted(drift.servers, key=lambda one: _ORDER.index(one.verdict))
    lengths = (cell_len(called(one) + "; ".join(words(one))) for one in servers if one.verdict is not DriftState.SAME)
    broken = max(lengths, default=0) + _GAP > width
    rows: list[Row] = []
    for verdict, alike in groupby(servers, key=lambda one: one.verdict):
        named = list(alike)
        for one in named[:ROWS_SHOWN]:
            parts = words(one) if broken else ["; ".join(words(one))]
            rows.append((called(one), Text(parts[0], _STYLES[verdict])))
            rows += [("", Text(f"  {part}", "dim")) for part in parts[1:]]
        if len(named) > ROWS_SHOWN:
            rows.append(
                ("", Text(f"and {counted(len(named) - ROWS_SHOWN, 'server')} more {_VERDICTS[verdict]}", "dim"))
            )
    return Text("\n").join([grid(("SERVER", "IMAGE"), rows, width), Text(""), *_below(drift)])


def drift_lines(drift: Drift) -> Text:
    """The drift for a pipe: every server on a line of its own, in the order of the plan, then the rest."""
    lines = (Text(f"{called(one)}: {'; '.join(words(one))}") for one in drift.servers)
    return Text("\n").join([*lines, *_below(drift)])


def called(one: ServerDrift) -> str:
    """What people call the server. Printable."""
    return printable(shown(one.name)) or printable(one.server_id)


def words(one: ServerDrift) -> Sequence[str]:
    """How the server stands to its image, in parts: what it runs, its ids, and since when."""
    if one.cause is None:
        return (f"runs {_seen(one)}{'' if one.wanted else ', which the plan installs again'}",)
    since = () if one.last is None else (_since(one, one.last),)
    if one.cause in _DOUBTS:
        shown = () if one.image_id is None else (f"it shows {_seen(one)}",)
        return (f"unknown: {_DOUBTS[one.cause]}", *shown, *since)
    wanted = "" if one.wanted is None else printable(one.wanted.name)
    ids = () if one.image_id is None or one.image_name is None else (f"that is image {printable(one.image_id)}",)
    return (f"drifted: runs {_seen(one)}{_KINDS[one.cause]}{wanted}", *ids, *since)


def totals(drift: Drift) -> str:
    """How many servers come to which verdict, in one sentence."""
    counts = drift.counts
    sums = (f"{counts.get(verdict, 0):,} {told}" for verdict, told in _VERDICTS.items())
    return f"{counted(len(drift.servers), 'server')}: {', '.join(sums)}"


def drift_document(drift: Drift, plan: Plan, digest: str, scope: Scope) -> Document:
    """The whole drift, as `drift -o json` prints it. What it has is documented in docs/reference/outputs.md."""
    return {
        "v": VERSION,
        "plan": {
            "name": plan.name,
            "path": str(plan.path),
            "digest": digest,
            "cloud": scope.cloud,
            "region": scope.region,
            "project_id": scope.project_id,
        },
        "counts": {"total": len(drift.servers), **{one.value: drift.counts.get(one, 0) for one in DriftState}},
        "images": _images(drift.images),
        "servers": standing_documents(drift),
        "findings": [finding_document(finding) for finding in drift.findings],
    }


def standing_documents(drift: Drift) -> list[Document]:
    """How each server stands to its image, in the order of the plan."""
    return [_standing(one) for one in drift.servers]


def _standing(one: ServerDrift) -> Document:
    return {
        "server_id": one.server_id,
        "name": one.name,
        "verdict": one.verdict.value,
        "code": one.cause.value if one.cause else None,
        "reason": None if one.verdict is DriftState.SAME else words(one)[0],
        "image": one.image_id,
        "image_name": one.image_name,
        "image_wanted": None if one.wanted is None else one.wanted.id,
        "image_wanted_name": None if one.wanted is None else one.wanted.name,
        "last_change": None
        if one.last is None
        else {"run": one.last.run_id, "at": stamp(one.last.at), "image": one.last.image_id, "as_left": one.as_left},
    }


def _images(images: Mapping[str, Image]) -> list[Document]:
    return [{"name": written, "id": image.id} for written, image in sorted(images.items())]


def _since(one: ServerDrift, last: LastChange) -> str:
    run, at = printable(last.run_id), short_stamp(last.at)
    if one.verdict is DriftState.UNKNOWN:
        return f"last changed at {at}, by run {run}"
    if one.as_left:
        return f"since {at}, by run {run}"
    return f"not by fleetos: run {run} left it on image {printable(last.image_id)} at {at}"


def _seen(one: ServerDrift) -> str:
    return printable(one.image_name or one.image_id or "an unknown image")


def _below(drift: Drift) -> Iterator[Text]:
    """What holds for the fleet as a whole: findings, the sum, and the images."""
    for finding in drift.findings:
        yield Text(f"{finding.level}: ", LEVEL_STYLES[finding.level]).append(finding_words(finding))
    yield Text(totals(drift), "bold")
    for written, image in sorted(drift.images.items()):
        yield Text(f"  image {printable(written)} is {printable(image.id)}")
