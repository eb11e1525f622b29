import pytest

from fleetos.text import and_more, counted, did_you_mean, join_some


@pytest.mark.parametrize(("number", "said"), [(0, "0 servers"), (1, "1 server"), (1200, "1,200 servers")])
def test_a_noun_is_in_the_plural_unless_it_is_one(number: int, said: str) -> None:
    assert counted(number, "server") == said


@pytest.mark.parametrize(
    ("limit", "said"), [(0, " and 3 more"), (2, "a, b and 1 more"), (3, "a, b, c"), (9, "a, b, c")]
)
def test_of_many_items_the_first_are_joined(limit: int, said: str) -> None:
    assert join_some(["a", "b", "c"], limit) == said
    assert and_more(3 - limit) == ("" if limit >= 3 else f" and {3 - limit} more")


def test_the_nearest_words_are_asked_for() -> None:
    assert did_you_mean("ubunto", ["debian", "ubuntu"]) == "did you mean ubuntu?"
    assert did_you_mean("ubunto", ["ubuntu", "ubuntu2"], 2) == "did you mean ubuntu or ubuntu2?"
    assert did_you_mean("ubunto", ["ubuntu"], spelled=repr) == "did you mean 'ubuntu'?"
    assert did_you_mean("ubunto", ["x"]) is None
