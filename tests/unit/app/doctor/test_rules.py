"""What doctor makes of facts: where fine ends, what a doubt is about, and what a broken thing comes to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fleetos.app.doctor.cloud_rules import (
    TOKEN_SHORT_S,
    ClockFacts,
    CredentialFacts,
    EndpointFacts,
    LoginFacts,
    PermissionFacts,
    Right,
    of_clock,
    of_credentials,
    of_endpoint,
    of_login,
    of_memory,
    of_permission,
    of_silence,
    without_endpoint,
)
from fleetos.app.doctor.database_rules import (
    FREE_LITTLE_BYTES,
    FREE_NONE_BYTES,
    of_backup,
    of_claims,
    of_file,
    of_runs,
    of_schema,
    of_timeline,
)
from fleetos.errors import CloudUnreachable, DatabaseUnusable, InputError, Problem, UsageError
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
    exit_code_of,
    format_roughly,
)
from fleetos.model.experience import Experience, Limit

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
FILE = FileFacts("/s/f.db", 4096, 0o600, True, True, "/s", 0o700, True, "ext4", FREE_LITTLE_BYTES)
PASSWORD = CredentialFacts("password", "al", "the OS_* variables", "eu-de", True)
KEY = replace(PASSWORD, way="access key", user=None, dated=True, renewable=True)
TOKEN = replace(PASSWORD, way="token", user=None, renewable=False)
LOGIN = LoginFacts("p1", "eu-de_project", "d", 86400.0)
ENDPOINT = EndpointFacts("ecs", "https://ecs.invalid", False, 200, 0.0123)


def found(facts: FileFacts, topic: Topic) -> Diagnosis:
    (one,) = [one for one in of_file(facts) if one.topic is topic]
    return one


def test_a_sound_file_is_fine_in_every_way() -> None:
    assert {one.grade for one in of_file(FILE)} == {Grade.FINE}
    assert [one.topic for one in of_file(FILE)] == [
        Topic.DATABASE,
        Topic.FILE_MODES,
        Topic.FILE_SYSTEM,
        Topic.FREE_SPACE,
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refused": DatabaseUnusable("/s/f.db is empty", "restore it")}, "is empty"),
        ({"size_bytes": None, "mode": None, "refused": DatabaseUnusable("/s/f.db is gone", "put it back")}, "is gone"),
        ({"size_bytes": None, "mode": None, "folder_usable": False}, "cannot be made"),
        ({"usable": False}, "not writable"),
        ({"folder_usable": False}, "not writable"),
    ],
)
def test_a_file_that_cannot_serve_is_broken(changes: dict[str, object], words: str) -> None:
    one = found(replace(FILE, **changes), Topic.DATABASE)
    assert (one.grade, one.exit_code, words in one.text) == (Grade.BROKEN, 65, True)


def test_a_file_that_is_not_there_yet_is_fine_and_has_no_mode() -> None:
    facts = replace(FILE, size_bytes=None, mode=None)
    assert found(facts, Topic.DATABASE).grade is Grade.FINE
    assert not [one for one in of_file(facts) if one.topic is Topic.FILE_MODES]


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"mode": 0o640}, "the next command that opens it closes it"),
        ({"folder_mode": 0o775}, "chmod go-w /s"),
        ({"ours": False}, "chown it"),
    ],
)
def test_what_others_may_do_is_doubtful(changes: dict[str, object], hint: str) -> None:
    one = found(replace(FILE, **changes), Topic.FILE_MODES)
    assert one.grade is Grade.DOUBTFUL
    assert hint in (one.hint or "")


def test_a_folder_for_all_whose_files_are_their_owners_is_fine() -> None:
    assert found(replace(FILE, folder_mode=0o1777), Topic.FILE_MODES).grade is Grade.FINE


@pytest.mark.parametrize(
    ("kind", "grade"),
    [
        ("ext4", Grade.FINE),
        ("nfs4", Grade.DOUBTFUL),
        ("fuse.sshfs", Grade.DOUBTFUL),
        ("9p", Grade.DOUBTFUL),
        (None, Grade.SKIPPED),
    ],
)
def test_a_file_system_of_several_machines_is_doubtful(kind: str | None, grade: Grade) -> None:
    assert found(replace(FILE, file_system=kind), Topic.FILE_SYSTEM).grade is grade


@pytest.mark.parametrize(
    ("free", "grade", "code"),
    [
        (FREE_LITTLE_BYTES, Grade.FINE, 0),
        (FREE_LITTLE_BYTES - 1, Grade.DOUBTFUL, 0),
        (FREE_NONE_BYTES, Grade.DOUBTFUL, 0),
        (FREE_NONE_BYTES - 1, Grade.BROKEN, 20),
        (None, Grade.SKIPPED, 0),
    ],
)
def test_free_space(free: int | None, grade: Grade, code: int) -> None:
    one = found(replace(FILE, free_bytes=free), Topic.FREE_SPACE)
    assert (one.grade, one.exit_code) == (grade, code)


@pytest.mark.parametrize(
    ("revision", "known", "migrates", "grade", "code"),
    [
        ("0002", True, True, Grade.FINE, 0),
        ("0001", True, True, Grade.DOUBTFUL, 0),
        (None, True, True, Grade.FINE, 0),
        (None, True, False, Grade.FINE, 0),
        ("0001", True, False, Grade.BROKEN, 65),
        ("9999", False, True, Grade.BROKEN, 65),
    ],
)
def test_the_revision_of_the_tables(revision: str | None, known: bool, migrates: bool, grade: Grade, code: int) -> None:
    one = of_schema(SchemaFacts("SQLite", "3.45", revision, "0002", known, migrates), "/s/f.db")
    assert (one.grade, one.exit_code, one.values["revision"]) == (grade, code, revision)


def test_the_newest_copy_has_an_age() -> None:
    none = of_backup(None, None, NOW)
    assert (none.grade, none.hint) == (Grade.SKIPPED, "fleetos db backup FILE makes one")
    assert "made 3 days ago" in of_backup("/s/f.copy", NOW - timedelta(days=3), NOW).text
    assert of_backup("/s/f.copy", NOW + timedelta(hours=1), NOW).values["age_s"] == 0


@pytest.mark.parametrize(
    ("life", "topic", "grade"),
    [
        ("alive", Topic.LEASE, Grade.FINE),
        ("elsewhere", Topic.LEASE, Grade.FINE),
        ("stopped", Topic.LEASE, Grade.DOUBTFUL),
        (None, Topic.UNFINISHED, Grade.DOUBTFUL),
    ],
)
def test_a_run_and_its_driver(life: str | None, topic: Topic, grade: Grade) -> None:
    (one,) = of_runs([RunFacts("r1", "web", "running", life and "process 7", life, 20.0)], NOW)
    assert (one.topic, one.grade, one.subject) == (topic, grade, "r1")
    assert one.values.get("until") == (life and "2026-03-01T12:00:20Z")


def test_runs_and_claims_that_are_not_there_are_fine() -> None:
    assert [one.grade for one in (*of_runs([], NOW), *of_claims([]))] == [Grade.FINE] * 2
    (one,) = of_claims([ClaimFacts("r1", "done", 2)])
    assert (one.grade, "2 servers" in one.text, "abort r1 --release" in (one.hint or "")) == (
        Grade.DOUBTFUL,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("ahead_s", "access", "grade", "code"),
    [
        (0.0, KEY, Grade.FINE, 0),
        (-59.0, KEY, Grade.FINE, 0),
        (60.0, PASSWORD, Grade.DOUBTFUL, 0),
        (-899.0, KEY, Grade.DOUBTFUL, 0),
        (900.0, KEY, Grade.BROKEN, 77),
        (-86400.0, PASSWORD, Grade.DOUBTFUL, 0),
    ],
)
def test_a_clock_matters_to_signatures_alone(ahead_s: float, access: CredentialFacts, grade: Grade, code: int) -> None:
    one = of_clock(ClockFacts(ahead_s, NOW, "the iam service"), access)
    assert (one.grade, one.exit_code) == (grade, code)


@pytest.mark.parametrize(("off_s", "zone"), [(7200.0, True), (19800.0, True), (-3640.0, True), (1000.0, False)])
def test_a_clock_that_is_off_by_a_zone(off_s: float, zone: bool) -> None:
    assert ("zone" in (of_clock(ClockFacts(off_s, NOW, "it"), PASSWORD).hint or "")) is zone


def test_certificates_that_nobody_checks_are_doubtful() -> None:
    assert of_credentials(PASSWORD).text == "by the password of al, from the OS_* variables"
    assert of_credentials(replace(PASSWORD, verify=False)).grade is Grade.DOUBTFUL
    assert "not verified" in of_endpoint(ENDPOINT, replace(PASSWORD, verify=False)).text


@pytest.mark.parametrize(
    ("access", "life_s", "grade", "words"),
    [
        (PASSWORD, 60.0, Grade.FINE, "renewed by itself"),
        (TOKEN, TOKEN_SHORT_S, Grade.FINE, "valid for 60 minutes"),
        (TOKEN, TOKEN_SHORT_S - 1, Grade.DOUBTFUL, "valid for 60 minutes"),
        (KEY, None, Grade.FINE, "of domain d"),
        (replace(KEY, temporary=True), None, Grade.DOUBTFUL, "nobody says when it ends"),
    ],
)
def test_how_long_a_login_lasts(access: CredentialFacts, life_s: float | None, grade: Grade, words: str) -> None:
    one = of_login(replace(LOGIN, life_s=life_s), access)
    assert (one.grade, words in one.text) == (grade, True)


@pytest.mark.parametrize(
    ("changes", "grade", "words"),
    [
        ({}, Grade.FINE, "answers in 12 ms, certificate verified"),
        ({"status": 401}, Grade.FINE, "certificate verified"),
        ({"status": 503}, Grade.DOUBTFUL, "in trouble"),
        ({"address": "http://ecs.invalid"}, Grade.DOUBTFUL, "no TLS"),
        ({"address": "http://127.0.0.1", "loopback": True}, Grade.FINE, "no TLS"),
        ({"proxy": "http://proxy.invalid:3128"}, Grade.FINE, "by http://proxy.invalid:3128"),
    ],
)
def test_endpoints(changes: dict[str, object], grade: Grade, words: str) -> None:
    one = of_endpoint(replace(ENDPOINT, **changes), PASSWORD)
    assert (one.grade, one.subject, words in one.text) == (grade, "ecs", True)


def test_a_service_that_runs_can_do_without_is_no_more_than_a_doubt() -> None:
    assert without_endpoint("evs").grade is Grade.DOUBTFUL
    error = CloudUnreachable("no answer", "wait")
    silent = [of_silence("ecs", error, needed=needed) for needed in (True, False)]
    assert [(one.grade, one.exit_code, one.hint) for one in silent] == [
        (Grade.BROKEN, 69, "wait"),
        (Grade.DOUBTFUL, 0, "wait"),
    ]


@pytest.mark.parametrize(
    ("right", "needed", "grade", "code"),
    [
        (Right.ALLOWED, True, Grade.FINE, 0),
        (Right.REFUSED, True, Grade.BROKEN, 77),
        (Right.REFUSED, False, Grade.DOUBTFUL, 0),
        (Right.ABSENT, True, Grade.BROKEN, 77),
        (Right.ABSENT, False, Grade.DOUBTFUL, 0),
        (Right.UNKNOWN, True, Grade.BROKEN, 77),
        (Right.UNKNOWN, False, Grade.DOUBTFUL, 0),
        (Right.UNTRIED, True, Grade.SKIPPED, 0),
    ],
)
def test_a_right_that_is_needed_weighs_more(right: Right, needed: bool, grade: Grade, code: int) -> None:
    one = of_permission(PermissionFacts("list", "ecs:cloudServers:list", right, needed, "no run", "HTTP 403", 77))
    assert (one.grade, one.exit_code, one.values["right"]) == (grade, code, right.value)


def test_a_limit_is_in_force_until_it_is_forgotten() -> None:
    young, old = Limit(4.0, 1.0, NOW - timedelta(hours=1), told=True), Limit(0.5, 1.0, NOW - timedelta(days=8))
    known = Experience(changes={"a": (300.0,) * 8, "b": (20.0,) * 4}, limits={"read": young, "write": old})
    reads, writes, durations = of_memory(known, 7 * 86400.0, NOW)
    assert (reads.values["in_force"], writes.values["in_force"]) == (True, False)
    assert "4 reads a second, named by the cloud" in reads.text
    assert "0.5 writes a second, found by its refusals" in writes.text
    assert "12 changes of 2 kinds" in durations.text
    assert durations.values["longest_change_s"] == 300.0
    assert of_memory(replace(known, limits={}), 7 * 86400.0, NOW)[0].text.startswith("none was learned")


def test_the_first_broken_thing_gives_the_exit_code() -> None:
    doubt = Diagnosis(Topic.CLOCK, Grade.DOUBTFUL, "x", exit_code=0)
    usage = diagnose_error(Topic.DATABASE, UsageError("no", "so"))
    assert exit_code_of([]) == exit_code_of([doubt, diagnose_skipped(Topic.LOGIN, "y")]) == 0
    assert exit_code_of([doubt, usage, replace(usage, exit_code=77)]) == 64
    problems = (Problem("f.yaml", 1, 2, "a.b", "a value", "try"), Problem("f.yaml", None, None, "", "not YAML"))
    told = diagnose_error(Topic.CREDENTIALS, InputError(problems))
    assert (told.text, told.hint) == ("f.yaml: a.b: expected a value; f.yaml: not YAML", "try")
    assert told.exit_code == 65


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1.4, "1 seconds"), (119.0, "119 seconds"), (120.0, "2 minutes"), (7200.0, "2 hours"), (260_000.0, "3 days")],
)
def test_lengths_of_time_are_said_roughly(seconds: float, words: str) -> None:
    assert format_roughly(seconds) == words


@pytest.mark.parametrize(("number", "grade"), [(1, Grade.FINE), (2, Grade.SKIPPED), (None, Grade.SKIPPED)])
def test_a_failover_is_told_and_never_called_fine(number: int | None, grade: Grade) -> None:
    one = of_timeline(number)
    assert (one.grade, one.values) == (grade, {"timeline": number})
    assert ("cannot be told" in one.text) == (grade is Grade.SKIPPED)
