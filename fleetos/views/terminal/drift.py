"""Text and JSON of `drift`: whether each server runs the image that its plan names, and since when it does not."""

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
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.documents.preview import finding_document
from fleetos.views.terminal.preview import LEVEL_STYLES, finding_words
from fleetos.views.terminal.tables import Row, grid
from fleetos.views.text.format import printable, short_timestamp, timestamp

# Servers of each verdict that a table on a terminal names; a pipe and `-o json` get all of them.
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
    """Return the drift for a terminal: drifted servers first, and at most ROWS_SHOWN of each verdict."""
    servers = sorted(drift.servers, key=lambda server: _ORDER.index(server.verdict))
    lengths = (
        cell_len(display_name(server) + "; ".join(drift_words(server)))
        for server in servers
        if server.verdict is not DriftState.SAME
    )
    broken = max(lengths, default=0) + _GAP > width
    rows: list[Row] = []
    for verdict, alike in groupby(servers, key=lambda server: server.verdict):
        same_verdict = list(alike)
        for server in same_verdict[:ROWS_SHOWN]:
            parts = drift_words(server) if broken else ["; ".join(drift_words(server))]
            rows.append((display_name(server), Text(parts[0], _STYLES[verdict])))
            rows += [("", Text(f"  {part}", "dim")) for part in parts[1:]]
        if len(same_verdict) > ROWS_SHOWN:
            rows.append(
                ("", Text(f"and {counted(len(same_verdict) - ROWS_SHOWN, 'server')} more {_VERDICTS[verdict]}", "dim"))
            )
    return Text("\n").join([grid(("SERVER", "IMAGE"), rows, width), Text(""), *_below(drift)])


def drift_lines(drift: Drift) -> Text:
    """Return the drift for a pipe: a line for each server, in the order of the plan, then the rest."""
    lines = (Text(f"{display_name(server)}: {'; '.join(drift_words(server))}") for server in drift.servers)
    return Text("\n").join([*lines, *_below(drift)])


def display_name(server: ServerDrift) -> str:
    """Return the server's name, or its id if it has none. Printable."""
    return printable(shown(server.name)) or printable(server.server_id)


def drift_words(server: ServerDrift) -> Sequence[str]:
    """Return the drift of the server in parts: the image that it runs, the image's id, and since when."""
    if server.cause is None:
        return (f"runs {_image_words(server)}{'' if server.wanted else ', which the plan installs again'}",)
    since = () if server.last is None else (_since(server, server.last),)
    if server.cause in _DOUBTS:
        shown = () if server.image_id is None else (f"it shows {_image_words(server)}",)
        return (f"unknown: {_DOUBTS[server.cause]}", *shown, *since)
    wanted = "" if server.wanted is None else printable(server.wanted.name)
    ids = (
        () if server.image_id is None or server.image_name is None else (f"that is image {printable(server.image_id)}",)
    )
    return (f"drifted: runs {_image_words(server)}{_KINDS[server.cause]}{wanted}", *ids, *since)


def totals(drift: Drift) -> str:
    """Return the number of servers of each verdict, in one sentence."""
    counts = drift.counts
    sums = (f"{counts.get(verdict, 0):,} {words}" for verdict, words in _VERDICTS.items())
    return f"{counted(len(drift.servers), 'server')}: {', '.join(sums)}"


def drift_document(drift: Drift, plan: Plan, digest: str, scope: Scope) -> Document:
    """Return the document of `drift -o json`. Its fields are documented in docs/reference/outputs.md."""
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
        "counts": {
            "total": len(drift.servers),
            **{verdict.value: drift.counts.get(verdict, 0) for verdict in DriftState},
        },
        "images": _images(drift.images),
        "servers": server_drift_documents(drift),
        "findings": [finding_document(finding) for finding in drift.findings],
    }


def server_drift_documents(drift: Drift) -> list[Document]:
    """Return the drift of each server, in the order of the plan."""
    return [_server_drift_document(server) for server in drift.servers]


def _server_drift_document(server: ServerDrift) -> Document:
    return {
        "server_id": server.server_id,
        "name": server.name,
        "verdict": server.verdict.value,
        "code": server.cause.value if server.cause else None,
        "reason": None if server.verdict is DriftState.SAME else drift_words(server)[0],
        "image": server.image_id,
        "image_name": server.image_name,
        "image_wanted": None if server.wanted is None else server.wanted.id,
        "image_wanted_name": None if server.wanted is None else server.wanted.name,
        "last_change": None
        if server.last is None
        else {
            "run": server.last.run_id,
            "at": timestamp(server.last.at),
            "image": server.last.image_id,
            "as_left": server.as_left,
        },
    }


def _images(images: Mapping[str, Image]) -> list[Document]:
    return [{"name": written, "id": image.id} for written, image in sorted(images.items())]


def _since(server: ServerDrift, last: LastChange) -> str:
    run, time = printable(last.run_id), short_timestamp(last.at)
    if server.verdict is DriftState.UNKNOWN:
        return f"last changed at {time}, by run {run}"
    if server.as_left:
        return f"since {time}, by run {run}"
    return f"not by fleetos: run {run} left it on image {printable(last.image_id)} at {time}"


def _image_words(server: ServerDrift) -> str:
    return printable(server.image_name or server.image_id or "an unknown image")


def _below(drift: Drift) -> Iterator[Text]:
    """Yield the lines about the whole fleet: findings, the sum, and the images."""
    for finding in drift.findings:
        yield Text(f"{finding.level}: ", LEVEL_STYLES[finding.level]).append(finding_words(finding))
    yield Text(totals(drift), "bold")
    for written, image in sorted(drift.images.items()):
        yield Text(f"  image {printable(written)} is {printable(image.id)}")
