"""Text of `plan`: the action for each server and the reason for it, the rules, and the estimate."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.text import Text

from fleetos.model.findings import Finding, Level
from fleetos.model.plan import SourcePosition
from fleetos.model.preview import Act, Band, Estimate, Preview, act_of
from fleetos.model.run import Target
from fleetos.model.states import RUN_ENDS, Reason
from fleetos.model.steering.rollout import Steering
from fleetos.text import counted, join_some
from fleetos.views.terminal.confirmation import rules
from fleetos.views.terminal.tables import Row, grid
from fleetos.views.text.format import printable, short_duration
from fleetos.views.text.reasons import REASONS
from fleetos.views.text.run_condition import where_words
from fleetos.views.text.server_names import server_name

# Servers of each action that a table on a terminal names; a pipe and `-o json` get all of them.
ROWS_SHOWN = 20
_GAP = 2
# General findings shown, one a line; `-o json` has all.
FINDINGS_SHOWN = 20
_STYLES = {Act.REFUSE: "bold yellow", Act.CHANGE: "red", Act.SKIP: "dim"}
LEVEL_STYLES = {Level.REFUSED: "bold yellow", Level.WARNING: "yellow", Level.NOTE: "dim"}
_ORDER = tuple(Act)


def preview_table(preview: Preview, width: int) -> Text:
    """Return the plan for a terminal: problems first, and at most ROWS_SHOWN servers of each action."""
    findings = _by_server(preview.findings)
    targets = sorted(
        preview.targets, key=lambda target: (_ORDER.index(act_of(target)), target.server_id not in findings)
    )
    broken = (
        max((cell_len(server_name(target) + act_words(preview, target)) for target in preview.wiped), default=0) + _GAP
        > width
    )
    rows: list[Row] = []
    for act, alike in groupby(targets, key=act_of):
        same_act = list(alike)
        for target in same_act[:ROWS_SHOWN]:
            rows += _rows(preview, target, findings.get(target.server_id, ()), broken=broken)
        if len(same_act) > ROWS_SHOWN:
            rows.append(("", Text(f"and {counted(len(same_act) - ROWS_SHOWN, 'server')} more to {act}", "dim")))
    table = grid(("SERVER", "WHAT HAPPENS"), rows, width)
    return Text("\n").join([table, Text(""), *_below(preview)])


def preview_lines(preview: Preview) -> Text:
    """Return the plan for a pipe: a line for each server, in the order of the plan, then the rest."""
    findings = _by_server(preview.findings)
    lines = [Text(f"{server_name(target)}: {act_words(preview, target)}") for target in preview.targets]
    for line, target in zip(lines, preview.targets, strict=True):
        if act_of(target) is Act.CHANGE and (words := _words(findings.get(target.server_id, ()))):
            line.append(f"; {words}")
    return Text("\n").join([*lines, *_below(preview)])


def act_words(preview: Preview, target: Target) -> str:
    """Return the action for a server; if it is skipped or refused, with the reason."""
    match act_of(target):
        case Act.CHANGE:
            return f"{_disk_words(target)} {_images(preview, target)}{_wave_words(target)}"
        case Act.SKIP:
            return f"skip: {REASONS[target.reason or Reason.ALREADY_ON_IMAGE].short}"
        case Act.REFUSE:
            return f"refuse: {printable(target.detail)}"


def estimate_words(estimate: Estimate, steering: Steering) -> Sequence[str]:
    """Return the duration and the API calls of the run, a sentence each, with the source of the figures."""
    source = (
        f"from {counted(estimate.remembered, 'earlier change')}"
        if estimate.remembered
        else "from the cloud's documents, since none was seen here yet"
    )
    change = f"One change takes {_band(estimate.change)}, {source}."
    if estimate.run is None:
        return (change,)
    calls = f"About {estimate.reads + estimate.writes:,} API calls"
    kinds = f"{counted(estimate.reads, 'read')}, {counted(estimate.writes, 'write')}"
    return (
        f"{change} All of them take {_band(estimate.run)} when none fails{_besides(steering)}.",
        f"{calls}: {kinds}. {_limit(estimate)}",
    )


def _besides(steering: Steering) -> str:
    """Return what the run waits for besides its changes, which no estimate can tell."""
    betweens = [wave.between for wave in steering.waves]
    waits = {
        "bakes": any(between.bake_s for between in betweens),
        "approvals": any(between.approval for between in betweens[:-1]),
        "closed windows": steering.windows is not None,
    }
    named = [name for name, there in waits.items() if there]
    return f", not counting {join_some(named, len(named))}" if named else ""


def _below(preview: Preview) -> Iterator[Text]:
    """Yield the lines about the whole plan: findings, sum, images, rules, estimate."""
    general = sorted(preview.general_findings(), key=lambda finding: list(reversed(Level)).index(finding.level))
    for finding in general[:FINDINGS_SHOWN]:
        yield Text(f"{finding.level}: ", LEVEL_STYLES[finding.level]).append(finding_words(finding))
    if len(general) > FINDINGS_SHOWN:
        yield Text(f"and {counted(len(general) - FINDINGS_SHOWN, 'finding')} more; -o json shows all")
    counts = preview.counts
    wipes = counts.get(Act.CHANGE, 0)
    sum_of = f"{counted(len(preview.targets), 'server')}: {wipes:,} to change, {counts.get(Act.SKIP, 0):,} to skip, "
    yield Text(f"{sum_of}{counts.get(Act.REFUSE, 0):,} refused", "bold")
    if wipes:
        yield Text(f"WIPES {counted(wipes, 'system disk')}.", "bold red").append(" Data disks are kept.")
    yield Text(f"  {where_words(preview.run.scope)}")
    yield from (Text(f"  {printable(words)}") for words in selected_words(preview.selected))
    for choice in preview.choices:
        yield Text(f"  image {printable(choice.name)} is {printable(choice.id)}, API {choice.api} ({choice.why})")
    if wipes:
        yield from (Text(f"  {rule}") for rule in (*rules(preview.run), *map(printable, preview.steering)))
    yield from (Text(f"  {words}") for words in estimate_words(preview.estimate, preview.run.steering))
    if preview.earlier is not None:
        run = preview.earlier
        then = "does not repeat it without --new-run" if run.state in RUN_ENDS else "carries on with it"
        yield Text(f"There is a run of this plan already, {printable(run.id)} ({run.state}): apply {then}.", "bold")


def finding_words(finding: Finding) -> str:
    """Return the finding in one line, with its hint."""
    hint = f" ({printable(finding.hint)})" if finding.hint else ""
    return f"{printable(finding.subject)}: {printable(finding.text)}{hint}"


def selected_words(selected: Mapping[SourcePosition, int]) -> Sequence[str]:
    """Return a line for each selector: its position in the plan, and the number of servers that it matches."""
    return [f"{place.key} at {place} matches {counted(count, 'server')}" for place, count in selected.items()]


def _rows(preview: Preview, target: Target, findings: Iterable[Finding], *, broken: bool) -> Iterator[Row]:
    """Yield a row for a server and, if it is to be changed, a row for each finding about it.

    `broken`: disk and images do not fit on one line together.
    """
    act = act_of(target)
    broken = broken and act is Act.CHANGE
    text = Text(_disk_words(target) if broken else act_words(preview, target), _STYLES[act])
    refusal = next((finding for finding in findings if finding.level is Level.REFUSED), None)
    if act is Act.REFUSE and refusal is not None and refusal.hint:
        text.append(f" ({printable(refusal.hint)})", "dim")
    yield (server_name(target), text)
    if broken:
        yield ("", f"  {_images(preview, target)}{_wave_words(target)}")
    for finding in findings if act is Act.CHANGE else ():
        yield ("", Text(f"  {finding.level}: ", LEVEL_STYLES[finding.level]).append(printable(finding.text)))


def _by_server(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    by_server: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.server_id is not None:
            by_server.setdefault(finding.server_id, []).append(finding)
    return by_server


def _words(findings: Iterable[Finding]) -> str:
    return "; ".join(printable(finding.text) for finding in findings)


def _disk_words(target: Target) -> str:
    return f"WIPES system disk {printable(target.disk or '')}"


def _images(preview: Preview, target: Target) -> str:
    after = printable(target.order.image_name or target.order.image_id)
    if target.order.image_id == target.baseline.likely_image:
        return f"({after} again)"
    return f"({_image(preview, target.baseline.likely_image)} -> {after})"


def _wave_words(target: Target) -> str:
    return f", wave {target.wave}" if target.wave else ""


def _image(preview: Preview, image_id: str | None) -> str:
    return "unknown image" if image_id is None else printable(preview.image_names.get(image_id, image_id))


def _band(band: Band) -> str:
    low, high = short_duration(band.low_s), short_duration(band.high_s)
    return low if low == high else f"{low} to {high}"


def _limit(estimate: Estimate) -> str:
    rates = (("read", estimate.read_rate_per_s), ("write", estimate.write_rate_per_s))
    known = [f"{rate:g} {kind}s" for kind, rate in rates if rate is not None]
    return f"The limit in force: {' and '.join(known)} a second." if known else "No limit is in force."
