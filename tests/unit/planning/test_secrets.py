"""Secrets: read at need, checked before the first effect, and never in a message."""

from dataclasses import replace

import pytest

from fleetos.errors import InputError, Problem
from fleetos.limits import PASSWORDS_HIDDEN, SECRET_FILE_MAX_BYTES, USER_DATA_MAX_BYTES
from fleetos.model.plan import SecretRef
from fleetos.model.run import Order
from fleetos.planning.preflight.preflight import preflight
from fleetos.planning.secrets import PlanSecrets, password_fault
from fleetos.planning.settings import CloudFacts
from tests.support.builders import DEBIAN, a_server, an_inventory
from tests.unit.planning.plan_folder import HEAD, PlanFolder

PASSWORD = "Gr8-Fleet!42"


def order(plans: PlanFolder, change: str, more: str = "") -> Order:
    """What the server of a plan with that change gets."""
    plan = plans.plan(HEAD.replace("keyname: key", change) + f"servers: [{{name: web-01{more}}}]\n")
    return preflight(plan, an_inventory([a_server(1)]), (DEBIAN,), None, CloudFacts()).servers[0].order


def refused(source: PlanSecrets, wanted: Order) -> Problem:
    with pytest.raises(InputError) as caught:
        source.resolve(wanted)
    (problem,) = caught.value.problems
    assert PASSWORD not in str(caught.value)
    return problem


def test_a_password_from_the_environment(plans: PlanFolder) -> None:
    wanted = order(plans, "adminpass: {env: PW}")
    secrets = PlanSecrets({"PW": PASSWORD}).resolve(wanted)
    assert secrets.adminpass == PASSWORD
    assert secrets.user_data is None
    assert PASSWORD not in repr(secrets)
    assert "not set" in refused(PlanSecrets({}), wanted).expected
    assert "not set" in refused(PlanSecrets({"PW": ""}), wanted).expected


def test_the_environment_of_the_process_is_the_default(plans: PlanFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = order(plans, "adminpass: {env: FLEETOS_TEST_PW}")
    monkeypatch.setenv("FLEETOS_TEST_PW", PASSWORD)
    assert PlanSecrets().resolve(wanted).adminpass == PASSWORD


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_from_a_file_without_its_line_end(plans: PlanFolder, end: str) -> None:
    plans.write("pw", PASSWORD + end)
    assert PlanSecrets({}).resolve(order(plans, "adminpass: {file: pw}")).adminpass == PASSWORD


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot be read"),
        (b"x" * (SECRET_FILE_MAX_BYTES + 1), "larger than"),
        (PASSWORD.encode() + b"\xff", "in UTF-8"),
        (PASSWORD.encode() + b"\n\n", "only letters"),
        (b"", "8 to 26"),
        (b"short-1", "8 to 26"),
    ],
)
def test_a_file_that_holds_no_password(plans: PlanFolder, data: bytes | None, words: str) -> None:
    if data is not None:
        plans.write("pw", data)
    assert words in refused(PlanSecrets({}), order(plans, "adminpass: {file: pw}")).expected


@pytest.mark.parametrize(
    ("password", "windows", "fault"),
    [
        (PASSWORD, True, None),
        ("abcdEFG1", False, None),
        ("abcd-fg1", False, None),
        ("aB3" + "x" * 23, False, None),
        ("aB3" + "x" * 24, False, "8 to 26"),
        ("aB3-xyz", False, "8 to 26"),
        ("abcdefgh1", False, "three of"),
        ("ABCDEFGH-", False, "three of"),
        ("abcdEF1 2", False, "special characters"),
        ("abcdEF1ß2", False, "special characters"),
        ("abcdEF1;2", False, "special characters"),
        ("abcdEF1#2~*", False, None),
        ("My-Root-1", False, "name of the user"),
        ("My-toor-1", False, "name of the user"),
        ("Administrator1", True, "name of the user"),
        ("1-rotartsinimdA", False, "name of the user"),
        ("Xx-str-1234", True, "Administrator"),
        ("Xx-str-1234", False, None),
        ("Xx-ADM-1234", True, "Administrator"),
        ("Xx-AD-st-12", True, None),
    ],
)
def test_what_the_cloud_accepts_as_a_password(password: str, windows: bool, fault: str | None) -> None:
    found = password_fault(password, windows=windows)
    assert (found is None) == (fault is None)
    if fault is not None:
        assert found is not None
        assert fault in found
        assert password not in found


def test_user_data_from_a_file_must_be_what_was_frozen(plans: PlanFolder) -> None:
    plans.write("data", b"#cloud-config\n\xff")
    wanted = order(plans, "keyname: k, user_data: {file: data}")
    source = PlanSecrets({})
    assert source.resolve(wanted).user_data == b"#cloud-config\n\xff"
    plans.write("data", "#cloud-config\n# another\n")
    assert "has been changed" in refused(source, wanted).expected
    plans.write("data", b"x" * (USER_DATA_MAX_BYTES + 1))
    assert "larger than" in refused(source, wanted).expected
    (plans.folder / "data").unlink()
    problem = refused(source, wanted)
    assert "cannot be read" in problem.expected
    assert problem.hint is not None
    assert "resume" in problem.hint


def test_user_data_in_the_plan_is_found_again_by_its_digest(plans: PlanFolder) -> None:
    wanted = order(plans, "keyname: k, user_data: {text: top}", ", change: {user_data: {text: own}}")
    assert PlanSecrets({}).resolve(wanted).user_data == b"own"
    path = plans.folder / "plan.yaml"
    text = path.read_text()
    # The rest of the plan may have become wrong: the run does not need it any more.
    plans.write("plan.yaml", text.replace("name: try", "nmae: [") + "]")
    problem = refused(PlanSecrets({}), wanted)
    assert "has been changed" in problem.expected
    plans.write("plan.yaml", text.replace("name: try", "nmae: try"))
    assert PlanSecrets({}).resolve(wanted).user_data == b"own"
    plans.write("plan.yaml", text.replace("own", "other"))
    assert refused(PlanSecrets({}), wanted).file == str(path)
    path.unlink()
    assert "has been changed" in refused(PlanSecrets({}), wanted).expected


def test_user_data_in_the_plan_is_read_once(plans: PlanFolder) -> None:
    wanted = order(plans, "keyname: k, user_data: {text: top}")
    source = PlanSecrets({})
    assert source.resolve(wanted).user_data == b"top"
    (plans.folder / "plan.yaml").unlink()
    assert source.resolve(wanted).user_data == b"top"


def test_all_missing_secrets_are_listed_at_their_places(plans: PlanFolder) -> None:
    text = HEAD.replace("keyname: key", "adminpass: {env: PW}") + (
        "servers:\n  - name: web-01\n  - name: web-02\n"
        "  - name: web-03\n    change: {adminpass: {file: nothere}, user_data: {file: data}}\n"
    )
    plan = plans.plan(text, {"data": "x"})
    servers = an_inventory(a_server(number) for number in (1, 2, 3))
    found = preflight(plan, servers, (DEBIAN,), None, CloudFacts())
    plans.write("data", "y")
    with pytest.raises(InputError) as caught:
        PlanSecrets({}).check(found.orders, found.secret_places, found.windows)
    assert [(one.line, one.key) for one in caught.value.problems] == [
        (3, "change.adminpass"),
        (8, "servers[2].change.adminpass"),
        (8, "servers[2].change.user_data"),
    ]
    plans.write("data", "x")
    plans.write("nothere", PASSWORD)
    PlanSecrets({"PW": PASSWORD}).check(found.orders, found.secret_places, found.windows)


def test_the_passwords_of_orders_are_known_as_far_as_they_are_there(plans: PlanFolder) -> None:
    plans.write("pw", PASSWORD)
    orders = [order(plans, f"adminpass: {where}") for where in ("{env: PW}", "{file: pw}", "{env: NOT}", "{file: no}")]
    orders += [order(plans, "keyname: key"), orders[0]]
    assert PlanSecrets({"PW": "Other-99-x"}).passwords(orders) == ("Other-99-x", PASSWORD)
    many = [replace(orders[0], adminpass=SecretRef("env", f"PW{number}")) for number in range(PASSWORDS_HIDDEN + 5)]
    env = {f"PW{number}": f"Other-{number:02d}-x" for number in range(PASSWORDS_HIDDEN + 5)}
    assert PlanSecrets(env).passwords(many) == tuple(f"Other-{number:02d}-x" for number in range(PASSWORDS_HIDDEN))


def test_windows_images_forbid_more(plans: PlanFolder) -> None:
    wanted = order(plans, "adminpass: {env: PW}")
    env = {"PW": "Xx-str-1234"}
    PlanSecrets(env).check([wanted], {})
    with pytest.raises(InputError) as caught:
        PlanSecrets(env).check([wanted], {}, frozenset({wanted.image_id}))
    assert caught.value.problems[0].file == "environment"
    assert "str-1234" not in str(caught.value)


def test_a_reference_is_no_secret() -> None:
    assert "PW" in repr(SecretRef("env", "PW"))
