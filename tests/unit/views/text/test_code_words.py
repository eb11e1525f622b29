"""An error code of the cloud is shown with what it means, if that is known."""

from fleetos.model.codes import meaning_of
from fleetos.views.text.code_words import code_words


def test_a_known_code_is_explained_and_an_unknown_one_is_shown_alone() -> None:
    meaning = meaning_of("Ecs.0021")
    assert meaning
    assert code_words("Ecs.0021") == f"Ecs.0021, {meaning}"
    assert code_words("Ecs.987654") == "Ecs.987654"


def test_a_code_is_printable() -> None:
    assert "\x1b" not in code_words("Ecs\x1b[31m.1")
