"""Lists in SQL text."""

from fleetos.store.database.reader import IDS_PER_STATEMENT, Parameters, expand_lists, id_batches


def test_each_value_of_a_list_is_a_parameter() -> None:
    given: Parameters = {"ids": ["a", "b"], "ids_of": "c", "limit": 1}
    assert expand_lists("id IN :ids AND x = :ids_of LIMIT :limit", given) == (
        "id IN (:ids_0, :ids_1) AND x = :ids_of LIMIT :limit",
        {"ids_0": "a", "ids_1": "b", "ids_of": "c", "limit": 1},
    )


def test_an_empty_list_holds_no_value() -> None:
    assert expand_lists("id IN :ids", {"ids": []}) == ("id IN (NULL)", {})


def test_ids_come_in_order_and_in_batches() -> None:
    ids = [f"{number:04}" for number in range(IDS_PER_STATEMENT + 1)]
    assert id_batches(reversed(ids)) == [ids[:-1], ids[-1:]]
