import numpy as np
import pyarrow.parquet as pq
import pytest

from medglot.core.errors import StageError
from medglot.train.rows import UNSUPERVISED, PackedTexts, Row, Texts, micro_batches, read_texts


def make_texts(*lengths):
    """Documents of the lengths given, with ids 100, 101, ... in the first, 200, 201, ... in the second."""
    tokens = np.concatenate([np.arange(length) + 100 * (number + 1) for number, length in enumerate(lengths)]).astype("<u2")
    starts = np.cumsum([0, *lengths[:-1]])
    return Texts((tokens,), np.zeros(len(lengths), np.int32), starts, np.array(lengths), np.array(lengths) * 4)


def test_every_token_but_the_first_of_a_document_is_learned_once_and_none_is_lost():
    rows = PackedTexts("n/en", make_texts(5, 13, 1, 30, 9), context_length=8)
    made = [rows.row(index) for index in range(len(rows))]
    assert [len(row.ids) for row in made] == [8] * 7 + [2]
    assert np.concatenate([row.ids for row in made]).tolist() == [*range(100, 105), *range(200, 213), 300, *range(400, 430), *range(500, 509)]
    learned = [target for row in made for target in row.targets if target != UNSUPERVISED]
    assert learned == [*range(101, 105), *range(201, 213), *range(401, 430), *range(501, 509)]
    assert all(target in (UNSUPERVISED, token + 1) for row in made for token, target in zip(row.ids, row.targets, strict=True))


@pytest.mark.parametrize("last", range(1, 18))
def test_every_row_has_something_to_learn_wherever_the_last_document_ends(last):
    rows = PackedTexts("n/en", make_texts(5, last + 1), context_length=8)
    made = [rows.row(index) for index in range(len(rows))]
    assert all(row.supervised for row in made)
    assert sum(row.supervised for row in made) == 4 + last


def test_a_document_that_does_not_fit_goes_on_as_a_piece_of_its_own():
    rows = PackedTexts("n/en", make_texts(5, 13, 1, 3), context_length=8)
    assert [rows.row(index).lengths for index in range(len(rows))] == [(5, 3), (8,), (2, 1, 3)]
    assert rows.row(0).targets[-1] == 203


def test_micro_batches_keep_the_order_and_the_limit():
    rows = [Row(np.zeros(size, np.int64), np.zeros(size, np.int64), (size,)) for size in (4, 4, 4, 9, 1, 2)]
    groups = list(micro_batches(rows, tokens=8))
    assert [[len(row.ids) for row in group] for group in groups] == [[4, 4], [4], [9], [1, 2]]


def test_token_files_come_back_by_language(workshop):
    node = workshop.tokens("t")
    texts = read_texts(node.path, "train", token_bytes=2)
    assert list(texts) == ["en", "ru", "zh"]
    for language, found in texts.items():
        assert node.manifest.summary["train"][language]["tokens"] == found.length.sum()


def test_a_shortened_token_file_is_named(workshop):
    node = workshop.tokens("t")
    file = sorted(node.path.glob("train-*.bin"))[0]
    file.write_bytes(file.read_bytes()[:-20])
    assert pq.read_table(file.with_name(file.stem + ".index.parquet")).num_rows
    with pytest.raises(StageError, match=file.name):
        read_texts(node.path, "train", token_bytes=2)
