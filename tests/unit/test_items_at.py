"""Items that are taken out of a payload to be sent again."""

from carecase_worker.batches.chunking import Chunk
from carecase_worker.batches.line_numbers import NumberedItems
from carecase_worker.batches.payloads import items_at

ITEMS = b'[{"case_Key":1},{"case_Key":2},{"case_Key":3},{"case_Key":4}]'


def test_rows_of_a_file_keep_their_lines() -> None:
    items = items_at(Chunk(0, 4, ITEMS, lines=((0, 2), (2, 7))), [0, 2, 3])
    assert isinstance(items, NumberedItems)
    assert [bytes(item) for item in items] == [b'{"case_Key":1}', b'{"case_Key":3}', b'{"case_Key":4}']
    assert items.lines == [2, 7, 8]


def test_other_items_have_none() -> None:
    items = items_at(Chunk(0, 4, ITEMS), [1])
    assert [bytes(item) for item in items] == [b'{"case_Key":2}']
    assert not isinstance(items, NumberedItems)
