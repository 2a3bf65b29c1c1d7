import pyarrow.parquet as pq
import pytest

from medglot.core.errors import StageError
from medglot.core.records import Conversation, Document, Prediction, Question, Score, Turn
from medglot.core.rows import read_documents, read_rows, write_documents, write_rows

RECORDS = [
    Question("q:1", "b", "ja", "次のうち正しいのはどれか。", ("一", "二"), (0, 1), "理由", "", True),
    Conversation("c:1", (Turn("user", "Привет"), Turn("assistant", "Да")), "ru", "s", "MIT"),
    Prediction("q:1", "prompt", "A\n«é»", (-0.5, -1.25), "stop", {"prompt": 3, "completion": 1}),
    Score("q:1", 0.0, None, "", {}),
    Score("q:2", 1.0, (), "none", {"bleu1": 0.1}),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_from_its_file_as_it_was(tmp_path, record):
    write_rows(tmp_path / "rows.jsonl", [record])
    assert list(read_rows(tmp_path / "rows.jsonl", type(record))) == [record]


def test_documents_come_back_from_parquet_as_they_were(tmp_path):
    documents = [Document("s:1", "text\u0000 with \U0001f600", "en", "s", "MIT", {"k": "v"}), Document("s:2", "", "zh", "s", "CC0")]
    assert write_documents(tmp_path / "d.parquet", documents) == 2
    assert list(read_documents(tmp_path / "d.parquet")) == documents


def test_equal_documents_give_equal_bytes_and_zstd(tmp_path):
    documents = [Document(f"s:{number}", "text " * number, "en", "s", "MIT") for number in range(50)]
    for name in ("a.parquet", "b.parquet"):
        write_documents(tmp_path / name, documents)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(1).compression == "ZSTD"


def test_a_damaged_row_of_our_own_names_file_and_line(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [RECORDS[3]])
    with (tmp_path / "rows.jsonl").open("a") as handle:
        handle.write('{"question_id": "q:3"}\n')
    with pytest.raises(StageError, match=r"rows\.jsonl, line 2: not a Score"):
        list(read_rows(tmp_path / "rows.jsonl", Score))
