import pyarrow.parquet as pq
import pytest

from medglot.core.rows import document_table, read_documents
from medglot.corpus.shard_writer import shard_writer


@pytest.fixture
def rows(document):
    return [document(number, "x" * (number % 7 * 10)) for number in range(40)]


@pytest.mark.parametrize("batch", [1, 3, 16, 40])
def test_row_groups_depend_on_the_rows_alone_and_end_early_where_texts_are_long(tmp_path, monkeypatch, rows, batch):
    monkeypatch.setattr("medglot.corpus.shard_writer._GROUP_ROWS", 9)
    monkeypatch.setattr("medglot.corpus.shard_writer._GROUP_BYTES", 200)
    with shard_writer(tmp_path / "a.parquet") as writer:
        for start in range(0, len(rows), batch):
            writer.add(document_table(rows[start : start + batch]))
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert sizes == [7, 7, 7, 7, 7, 5]  # 0 + 10 + ... + 60 bytes make 210
    assert list(read_documents(tmp_path / "a.parquet")) == rows


def test_short_texts_fill_groups_by_number(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("medglot.corpus.shard_writer._GROUP_ROWS", 9)
    with shard_writer(tmp_path / "a.parquet") as writer:
        writer.add(document_table(rows))
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [9, 9, 9, 9, 4]


def test_a_shard_without_rows_leaves_no_file(tmp_path):
    with shard_writer(tmp_path / "a.parquet"):
        pass
    assert list(tmp_path.iterdir()) == []
