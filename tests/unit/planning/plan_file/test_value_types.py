"""Value types of the plan file: what they cost to build."""

from functools import partial
from types import FunctionType, ModuleType
from typing import get_args

import pytest
from pydantic import AfterValidator, PlainSerializer, PlainValidator

from fleetos.planning.plan_file import steering_types, value_types


@pytest.mark.parametrize("module", [value_types, steering_types])
def test_their_functions_are_written_in_python(module: ModuleType) -> None:
    """The signature of one in C, such as `str.lower`, costs pydantic 5 ms of each command that reads a plan."""
    annotations = [annotation for kind in vars(module).values() for annotation in get_args(kind)]
    kinds = (AfterValidator, PlainValidator, PlainSerializer)
    called = [annotation.func for annotation in annotations if isinstance(annotation, kinds)]
    functions = [function.func if isinstance(function, partial) else function for function in called]
    assert functions
    assert [function for function in functions if not isinstance(function, FunctionType)] == []
