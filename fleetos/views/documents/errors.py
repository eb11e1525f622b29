"""JSON of errors: of a command, and of a plan."""

from collections.abc import Sequence

from fleetos.errors import CloudError, FleetosError, InputError, Problem
from fleetos.views.documents.document import VERSION, Document


def error_document(error: FleetosError) -> Document:
    """Return the error. Fields that only some errors have are null in the others."""
    cloud = error if isinstance(error, CloudError) else None
    problems = error.problems if isinstance(error, InputError) else ()
    return {
        "v": VERSION,
        "error": {
            "message": error.message,
            "hint": error.hint,
            "code": cloud.code if cloud else None,
            "status": cloud.status if cloud else None,
            "request_id": cloud.request_id if cloud else None,
            "exit_code": error.exit_code,
            "problems": [_problem_fields(problem) for problem in problems],
        },
    }


def validate_document(problems: Sequence[Problem], doubts: Sequence[Problem] = ()) -> Document:
    """Return the errors of a plan, an empty list if it has none, and its warnings."""
    return {
        "v": VERSION,
        "errors": [_problem_fields(problem) for problem in problems],
        "warnings": [_problem_fields(doubt) for doubt in doubts],
    }


def _problem_fields(problem: Problem) -> Document:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "expected": problem.expected,
        "hint": problem.hint,
    }
