"""The code table and what an answer proves: total over statuses and codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.codes import CODES, AnswerClass, answer_class, code_key, known_code, meaning_of
from fleetos.model.inventory import Delivered, Unanswered, Undelivered


def numbered(prefix: str, status: int, numbers: str) -> list[tuple[str, int]]:
    return [(f"{prefix}.{number}", status) for number in numbers.split()]


# The table of the API reference once more, written down independently of the code: class -> (codes, documented status).
EXPECTED: dict[AnswerClass, list[tuple[str, int]]] = {
    AnswerClass.FATAL: [
        *numbered("Ecs", 400, "0000 0005 0006 0007 0008 0011 0025 0030 0031 0032 0034 0048 0058 0074 0089 0090 0105"),
        *numbered("Ecs", 400, "0118 0119 0120 0314 0510 0912 7000"),
        ("Common.0002", 400),
        ("APIGW.0101", 404),
        *(("APIGW.0201", status) for status in (400, 413, 414, 494)),
    ],
    AnswerClass.STOP_RUN: [
        *numbered("Ecs", 403, "0003 0066 0067 0068 0069 0070 0071 0110"),
        ("Ecs.0023", 400),
        ("Common.0018", 400),
        ("Pdp.0001", 403),
        *numbered("APIGW", 403, "0302 0306 0402"),
    ],
    AnswerClass.UNAUTHENTICATED: [("Common.0013", 401), *numbered("APIGW", 401, "0301 0303 0305 0307")],
    AnswerClass.LATER: [
        *numbered("Ecs", 400, "0001 0021 0044 0073 0101 0102 0103 0319"),
        *numbered("APIGW", 400, "0103 0104 0105 0106"),
        *numbered("APIGW", 404, "0103 0104 0105 0106"),
        ("Common.0024", 202),
    ],
    AnswerClass.CONFLICT: [("Ecs.0100", 400), ("Ecs.0603", 501)],
    AnswerClass.LOCKED: [("Ecs.0605", 400)],
    AnswerClass.GONE: [("Ecs.0114", 404), ("Ecs.0614", 404), ("itemNotFound", 404)],
    AnswerClass.THROTTLED: [("APIGW.0308", 429), ("Common.1503", 429), ("Common.1503", 503)],
    AnswerClass.AMBIGUOUS: [
        *numbered("Ecs", 400, "0002 0004 0106 0202 0203 0204 0205 0208 0217 0219 0226 0227 0301 0303 0304 0306 0307"),
        *numbered("Ecs", 400, "0308 0309 0310 0311 0313 0320 0321 0322 0323 0401 0402 0403 0404 0405 0501 0502 0503"),
        *numbered("Ecs", 400, "0507 0611 1000 1001 1002 1100 1200 1201 1300"),
        ("Ecs.0615", 500),
        ("Common.0001", 500),
        *numbered("Common", 400, "0011 0020 0021 0022 0025 0999"),
    ],
}
ROWS = [(code, status, kind) for kind, rows in EXPECTED.items() for code, status in rows]
BY_STATUS = {
    401: AnswerClass.UNAUTHENTICATED,
    403: AnswerClass.STOP_RUN,
    409: AnswerClass.CONFLICT,
    429: AnswerClass.THROTTLED,
}
STATUSES = st.integers(100, 599)
ALL_CODES = st.one_of(st.none(), st.sampled_from(sorted({code for code, _, _ in ROWS})), st.text(max_size=20))


def kind_of(status: int, code: str | None = None, job_id: str | None = None) -> AnswerClass:
    return answer_class(Delivered(status, job_id, code))[0]


@pytest.mark.parametrize(("code", "status", "kind"), ROWS)
def test_a_code_with_its_documented_status_proves_its_class(code: str, status: int, kind: AnswerClass) -> None:
    assert kind_of(status, code) is kind
    assert kind_of(status, code.upper()) is kind
    assert kind_of(status, code.lower()) is kind


def test_the_table_here_names_every_code() -> None:
    assert {code_key(code) for code, _, _ in ROWS} == set(CODES)
    documented = {(code_key(code), status) for code, status, _ in ROWS}
    assert documented == {(key, status) for key, code in CODES.items() for status in code.statuses}


@pytest.mark.parametrize("other", [200, 302, 400, 404, 413, 500, 501, 502, 503, 504])
def test_a_code_under_another_status_proves_nothing(other: int) -> None:
    documented = {code for code, status, _ in ROWS if status == other}
    for code in {code for code, _, _ in ROWS} - documented:
        assert kind_of(other, code) is AnswerClass.AMBIGUOUS, code


@given(code=ALL_CODES)
@pytest.mark.parametrize("status", sorted(BY_STATUS))
def test_some_statuses_prove_whatever_the_code(status: int, code: str | None) -> None:
    assert kind_of(status, code) is BY_STATUS[status]


@given(status=st.integers(200, 299), code=ALL_CODES)
def test_a_2xx_with_a_job_id_is_accepted(status: int, code: str | None) -> None:
    assert answer_class(Delivered(status, "ff80", code, retry_after_s=9)) == (AnswerClass.ACCEPTED, None)


@given(status=st.integers(200, 299), job_id=st.sampled_from([None, ""]))
def test_a_2xx_without_a_job_id_proves_nothing(status: int, job_id: str | None) -> None:
    assert kind_of(status, None, job_id) is AnswerClass.AMBIGUOUS
    assert kind_of(status, "Ecs.0005", job_id) is AnswerClass.AMBIGUOUS


@given(status=st.one_of(st.integers(100, 199), st.integers(300, 599)), code=ALL_CODES)
def test_a_job_id_outside_2xx_is_never_acceptance(status: int, code: str | None) -> None:
    assert kind_of(status, code, "ff80") is not AnswerClass.ACCEPTED


@given(status=STATUSES, code=st.text(max_size=20), job_id=st.one_of(st.none(), st.text(max_size=5)))
def test_unknown_codes_are_ambiguous_unless_the_status_speaks(status: int, code: str, job_id: str | None) -> None:
    if known_code(code) is None and status not in BY_STATUS and not (200 <= status < 300 and job_id):
        assert kind_of(status, code, job_id) is AnswerClass.AMBIGUOUS


@pytest.mark.parametrize("status", [404, 400, 500])
def test_no_code_and_no_telling_status_is_ambiguous(status: int) -> None:
    assert kind_of(status) is AnswerClass.AMBIGUOUS


def test_what_was_not_sent_and_what_was_not_answered() -> None:
    assert answer_class(Undelivered("refused")) == (AnswerClass.NOT_SENT, None)
    assert answer_class(Unanswered("reset")) == (AnswerClass.AMBIGUOUS, None)


@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        (Delivered(400, code="Ecs.0073"), 120.0),
        (Delivered(400, code="Ecs.0100"), 10.0),
        (Delivered(501, code="Ecs.0603"), 60.0),
        (Delivered(202, code="Common.0024"), 60.0),
        (Delivered(202, code="Common.0024", retry_after_s=300.0), 300.0),
        (Delivered(400, code="Ecs.0073", retry_after_s=1.0), 120.0),
        (Delivered(429, code="APIGW.0308", retry_after_s=7.0), 7.0),
        (Delivered(429), None),
        (Delivered(409, code="conflictingRequest"), None),
        (Delivered(400, code="Ecs.0005"), None),
        (Delivered(500, code="Ecs.0073", retry_after_s=5.0), None),
    ],
)
def test_the_wait_is_the_longest_that_the_cloud_names(reply: Delivered, wait_s: float | None) -> None:
    assert answer_class(reply)[1] == wait_s


@pytest.mark.parametrize("code", ["APIG.0308", "apig.0308", "ApiGw.0308", " APIGW.0308 "])
def test_both_gateways_share_their_codes(code: str) -> None:
    assert code_key(code) == "apigw.0308"
    assert meaning_of(code) == meaning_of("APIGW.0308") is not None


def test_what_is_not_known_has_no_meaning() -> None:
    assert meaning_of("Ecs.4711") is None
    assert meaning_of("") is None
    assert known_code(None) is None


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_says_what_it_means(code: str) -> None:
    known = CODES[code]
    assert known.meaning
    assert known.statuses
    assert known.meaning[0].islower() or known.meaning.split()[0].isupper() or known.meaning.startswith(("Open", "EVS"))


def test_what_reads_repeat() -> None:
    repeated = {key for key, code in CODES.items() if code.read_again}
    assert {"ecs.0301", "ecs.1001", "common.0024", "common.0025", "ecs.0323", "apigw.0308"} <= repeated
    assert not {"ecs.0005", "ecs.0114", "pdp.0001", "common.0011", "ecs.0401", "apigw.0101"} & repeated
