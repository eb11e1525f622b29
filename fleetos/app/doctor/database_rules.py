"""Judge the facts about the database: fine, doubtful or broken, and what to do about it. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from fleetos.errors import DatabaseUnusable, JournalUnwritable
from fleetos.model.diagnosis import (
    ClaimFacts,
    Diagnosis,
    FileFacts,
    Grade,
    RunFacts,
    SchemaFacts,
    Topic,
    diagnose_error,
    diagnose_skipped,
    format_roughly,
)
from fleetos.text import counted

# Free space below which a database may not grow as a run needs it (100,000 targets: some 300 MB, and as much in its
# write-ahead log), and that below which next to nothing fits.
FREE_LITTLE_BYTES = 1024 * 2**20
FREE_NONE_BYTES = 16 * 2**20
# File systems whose files other machines reach too: what they say of locks is not to be relied on (SQLite, "How To
# Corrupt An SQLite Database File").
_SHARED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs", "beegfs", "ocfs2"}
)


def of_file(facts: FileFacts) -> Sequence[Diagnosis]:
    """Judge the file, its folder, and their file system."""
    return [_of_place(facts), *_of_modes(facts), _of_file_system(facts), _of_space(facts)]


def _of_place(facts: FileFacts) -> Diagnosis:
    values = {"path": facts.path, "size_bytes": facts.size_bytes}
    if facts.refused is not None:
        return diagnose_error(Topic.DATABASE, facts.refused)
    if facts.size_bytes is None:
        if not facts.folder_usable:
            return _damaged(f"{facts.path} cannot be made: {facts.folder} is not writable", "give another place: --db")
        text = f"{facts.path}: none yet; the first apply makes it"
        if facts.named_by is None:
            return Diagnosis(Topic.DATABASE, Grade.FINE, text, values=values)
        hint = f"check the path of {facts.named_by}, if runs were made already"
        return Diagnosis(Topic.DATABASE, Grade.DOUBTFUL, text, hint, values=values)
    if not (facts.usable and facts.folder_usable):
        return _damaged(f"{facts.path} or its folder is not writable", "give another place: --db")
    return Diagnosis(Topic.DATABASE, Grade.FINE, f"{facts.path}, {_size(facts.size_bytes)}", values=values)


def _damaged(text: str, hint: str) -> Diagnosis:
    return Diagnosis(Topic.DATABASE, Grade.BROKEN, text, hint, exit_code=DatabaseUnusable.exit_code)


def _of_modes(facts: FileFacts) -> Sequence[Diagnosis]:
    if facts.mode is None:
        return ()
    values = {"file": f"{facts.mode:04o}", "folder": f"{facts.folder_mode:04o}"}
    if not facts.ours:
        return [Diagnosis(Topic.FILE_MODES, Grade.DOUBTFUL, "the file is another user's", "chown it", values=values)]
    if facts.folder_mode & 0o022 and not facts.folder_mode & 0o1000:
        text = f"others may put files into {facts.folder} ({facts.folder_mode:04o})"
        return [Diagnosis(Topic.FILE_MODES, Grade.DOUBTFUL, text, f"chmod go-w {facts.folder}", values=values)]
    if facts.mode & 0o077:
        hint = "the next command that opens it closes it to others"
        text = f"others may open the file ({facts.mode:04o})"
        return [Diagnosis(Topic.FILE_MODES, Grade.DOUBTFUL, text, hint, values=values)]
    return [Diagnosis(Topic.FILE_MODES, Grade.FINE, f"for its owner only ({facts.mode:04o})", values=values)]


def _of_file_system(facts: FileFacts) -> Diagnosis:
    kind = facts.file_system
    if kind is None:
        return diagnose_skipped(Topic.FILE_SYSTEM, "the system does not say which one it is")
    values = {"kind": kind}
    if kind in _SHARED or kind.startswith("fuse."):
        hint = "keep it on a local disk, or use PostgreSQL for several machines"
        text = f"{kind}: its locks may not hold, and SQLite relies on them"
        return Diagnosis(Topic.FILE_SYSTEM, Grade.DOUBTFUL, text, hint, values=values)
    return Diagnosis(Topic.FILE_SYSTEM, Grade.FINE, f"{kind}, of this machine", values=values)


def _of_space(facts: FileFacts) -> Diagnosis:
    free = facts.free_bytes
    if free is None:
        return diagnose_skipped(Topic.FREE_SPACE, "the system does not say how much there is")
    text, values = f"{_size(free)} free on the disk of {facts.folder}", {"free_bytes": free}
    if free >= FREE_LITTLE_BYTES:
        return Diagnosis(Topic.FREE_SPACE, Grade.FINE, text, values=values)
    hint = "make room: a run that cannot write its journal stops"
    if free >= FREE_NONE_BYTES:
        return Diagnosis(Topic.FREE_SPACE, Grade.DOUBTFUL, text, hint, values=values)
    code = JournalUnwritable.exit_code
    return Diagnosis(Topic.FREE_SPACE, Grade.BROKEN, text, hint, values=values, exit_code=code)


def of_backup(backup: str | None, made_at: datetime | None, now: datetime) -> Diagnosis:
    """Judge the newest sound copy beside the file."""
    hint = "fleetos db backup FILE makes one"
    if backup is None or made_at is None:
        text, values = "no copy lies beside it; copies elsewhere are not looked for", {"path": None, "age_s": None}
        return Diagnosis(Topic.BACKUP, Grade.SKIPPED, text, hint, values=values)
    age_s = max(0.0, (now - made_at).total_seconds())
    values = {"path": backup, "age_s": round(age_s)}
    return Diagnosis(Topic.BACKUP, Grade.FINE, f"{backup}, made {format_roughly(age_s)} ago", hint, values=values)


def of_timeline(timeline: int | None) -> Diagnosis:
    """Judge a PostgreSQL server whose standby may have taken over.

    Which timeline the last run was driven on is nowhere written, so a lost commit cannot be told from none.
    """
    values = {"timeline": timeline}
    if timeline == 1:
        text = "timeline 1: no standby was promoted, no backup restored"
        return Diagnosis(Topic.INTEGRITY, Grade.FINE, text, values=values)
    which = "its timeline cannot be read" if timeline is None else f"timeline {timeline}: a standby or backup took over"
    text = f"{which}; whether commits of fleetos were lost with that cannot be told"
    hint = "a standby must be synchronous; after a failover check the servers of unfinished runs"
    return Diagnosis(Topic.INTEGRITY, Grade.SKIPPED, text, hint, values=values)


def of_schema(facts: SchemaFacts, where: str) -> Diagnosis:
    """Judge whether the tables are those that this program needs, and say who brings them up to date if not."""
    program = f"{facts.kind} {facts.version}"
    values = {"kind": facts.kind, "version": facts.version, "revision": facts.revision, "needed": facts.needed}
    if facts.revision == facts.needed:
        text = f"{program}, revision {facts.revision}, as this program needs it"
        return Diagnosis(Topic.SCHEMA, Grade.FINE, text, values=values)
    if facts.revision is None:
        return Diagnosis(
            Topic.SCHEMA, Grade.FINE, f"{program}, no tables yet: the next command makes them", values=values
        )
    code = DatabaseUnusable.exit_code
    if not facts.known:
        text = f"{where} has revision {facts.revision}, newer than this program, which needs {facts.needed}"
        hint = "use the fleetos that wrote it, or a newer one"
        return Diagnosis(Topic.SCHEMA, Grade.BROKEN, text, hint, values=values, exit_code=code)
    if facts.migrates_itself:
        text = f"{program}, revision {facts.revision}: the next command brings it to {facts.needed}"
        hint = "after a copy, and only while no run is driven; fleetos db upgrade does it now"
        return Diagnosis(Topic.SCHEMA, Grade.DOUBTFUL, text, hint, values=values)
    text = f"{program}, revision {facts.revision}: a migration to {facts.needed} is due"
    hint = "copy it with pg_dump, then call `fleetos db upgrade`"
    return Diagnosis(Topic.SCHEMA, Grade.BROKEN, text, hint, values=values, exit_code=code)


def of_runs(runs: Sequence[RunFacts], now: datetime) -> Sequence[Diagnosis]:
    """Judge each unfinished run: who drives it, or how to carry it on."""
    if not runs:
        return [Diagnosis(Topic.LEASE, Grade.FINE, "there are no unfinished runs, and no process holds a lease")]
    return [_of_run(run, now) for run in runs]


def _of_run(run: RunFacts, now: datetime) -> Diagnosis:
    values = {"name": run.name, "state": run.state, "holder": run.holder, "life": run.life}
    if run.holder is None or run.life is None:
        hint = f"carry it on: fleetos resume {run.run_id}; or end it: fleetos abort {run.run_id}"
        text = f"{run.name} is {run.state} and has no driver"
        return Diagnosis(Topic.UNFINISHED, Grade.DOUBTFUL, text, hint, run.run_id, values)
    until = now + timedelta(seconds=run.left_s)
    values["until"] = f"{until:%Y-%m-%dT%H:%M:%S}Z"
    text = f"{run.name} is driven by {run.holder}, lease valid until {until:%H:%M:%S} UTC"
    if run.life == "stopped":
        text, hint = f"{text}; it is stopped by a signal", "continue it (kill -CONT) or end it, then resume the run"
        return Diagnosis(Topic.LEASE, Grade.DOUBTFUL, text, hint, run.run_id, values)
    return Diagnosis(Topic.LEASE, Grade.FINE, text, None, run.run_id, values)


def of_claims(claims: Sequence[ClaimFacts]) -> Sequence[Diagnosis]:
    """Judge the claims on servers that are held by runs that have ended."""
    if not claims:
        return [Diagnosis(Topic.CLAIMS, Grade.FINE, "no run that has ended holds a server")]
    return [_of_claim(claim) for claim in claims]


def _of_claim(claim: ClaimFacts) -> Diagnosis:
    text = f"has ended ({claim.state}) and still holds {counted(claim.servers, 'server')} of unknown outcome"
    hint = f"look at them, then fleetos retry {claim.run_id}, or fleetos abort {claim.run_id} --release"
    values = {"state": claim.state, "servers": claim.servers}
    return Diagnosis(Topic.CLAIMS, Grade.DOUBTFUL, text, hint, claim.run_id, values)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:,.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:,.1f} MiB"
