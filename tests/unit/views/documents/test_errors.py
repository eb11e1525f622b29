"""The documents of errors and of a checked plan have the shape that the contract gives them."""

from fleetos.errors import AuthenticationFailed, FleetosError, InputError, Problem, UsageError
from fleetos.views.documents.errors import error_document, validate_document


def test_an_error_has_every_field_and_null_where_it_has_nothing_to_say() -> None:
    assert error_document(UsageError("no such run", "fleetos runs")) == {
        "v": 1,
        "error": {
            "message": "no such run",
            "hint": "fleetos runs",
            "code": None,
            "status": None,
            "request_id": None,
            "exit_code": 64,
            "problems": [],
        },
    }
    refused = AuthenticationFailed("no", code="IAM.0011", status=401, request_id="req-1")
    error = error_document(refused)["error"]
    assert (error["code"], error["status"], error["request_id"], error["exit_code"]) == ("IAM.0011", 401, "req-1", 77)
    assert error_document(FleetosError("x"))["error"]["exit_code"] == 1


def test_problems_of_a_plan_are_listed_alike_in_both_documents() -> None:
    problem = Problem("plan.yaml", 3, 5, "change.keynme", "an unknown key", "did you mean `keyname`?")
    fields = {
        "file": "plan.yaml",
        "line": 3,
        "column": 5,
        "key": "change.keynme",
        "expected": "an unknown key",
        "hint": "did you mean `keyname`?",
    }
    assert validate_document([problem]) == {"v": 1, "errors": [fields], "warnings": []}
    assert validate_document([], [problem]) == {"v": 1, "errors": [], "warnings": [fields]}
    error = error_document(InputError((problem,)))["error"]
    assert error["problems"] == [fields]
    assert error["exit_code"] == 65
