"""What every kind of source must hold: all rows once, in order, whatever the pieces, and no exception for a broken file but RowError."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medglot.core.errors import RowError
from medglot.core.find import find, names
from medglot.corpus.sources.base import FIELDS

FOLDER = "medglot.corpus.sources"
TEXTS = [f"text {number} 中 é" for number in range(23)]


def write_parquet(folder):
    rows = pa.table({"id": [str(number) for number in range(len(TEXTS))], "text": TEXTS, "lang": ["en"] * len(TEXTS)})
    pq.write_table(rows.slice(0, 15), folder / "a.parquet", row_group_size=4)
    pq.write_table(rows.slice(15), folder / "b.parquet", row_group_size=100)


def write_jsonl(folder):
    lines = [json.dumps({"id": number, "text": text, "lang": "en"}, ensure_ascii=False) + "\n" for number, text in enumerate(TEXTS)]
    (folder / "a.jsonl").write_text("\ufeff" + "".join(lines[:9]) + "\n\n" + "".join(lines[9:15]).rstrip(), encoding="utf-8")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress("".join(lines[15:20]).encode()))
    with pa.CompressedOutputStream(str(folder / "c.jsonl.zst"), "zstd") as stream:
        stream.write("".join(lines[20:]).encode())


def write_text(folder):
    for number, text in enumerate(TEXTS):
        (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")


WRITERS = {"parquet": write_parquet, "jsonl": write_jsonl, "text": write_text}


@pytest.fixture(params=names(FOLDER))
def kind(request):
    return request.param


def source(kind, path):
    return find(FOLDER, kind)(kind=kind, path=path)


def read(made, *, limit):
    tables = [batch.table for file in made.files() for piece in made.pieces(file, limit=limit) for batch in made.read(piece)]
    return pa.concat_tables(tables)


@pytest.mark.parametrize("limit", [1, 3, 4, 1000])
def test_every_row_is_read_once_and_in_order_whatever_the_pieces(kind, tmp_path, limit):
    WRITERS[kind](tmp_path)
    table = read(source(kind, tmp_path), limit=limit)
    assert table["text"].to_pylist() == TEXTS
    assert table.column_names[: len(FIELDS) + 1] == ["row", *FIELDS]
    assert all(pa.types.is_string(table[name].type) for name in FIELDS)
    assert table.drop_columns("row").equals(read(source(kind, tmp_path), limit=7).drop_columns("row"))


def test_pieces_are_the_same_each_time_and_row_numbers_count_from_one(kind, tmp_path):
    WRITERS[kind](tmp_path)
    made = source(kind, tmp_path)
    assert [made.pieces(file, limit=3) for file in made.files()] == [made.pieces(file, limit=3) for file in made.files()]
    assert all(made.pieces(file, limit=3)[0].first == 1 for file in made.files())
    assert min(read(made, limit=3)["row"].to_pylist()) == 1


@pytest.mark.parametrize("content", [b"", b"\x00\x01 \xff\xfe broken \x80", b"PAR1"], ids=["empty", "bytes", "torn"])
def test_a_broken_file_is_one_row_error_or_bad_rows_never_another_exception(kind, tmp_path, content):
    WRITERS[kind](tmp_path)
    made = source(kind, tmp_path)
    broken = made.files()[0]
    made.locate(broken).write_bytes(content)
    kinds = []
    for piece in made.pieces(broken, limit=5):
        try:
            kinds += [bad.kind for batch in made.read(piece) for bad in batch.bad]
        except RowError as error:
            kinds.append(error.kind)
    is_plain_text = kind == "text" and content == b"PAR1"
    assert len(kinds) == (0 if is_plain_text else 1)
    assert all(kinds)


def test_only_fitting_files_of_a_folder_are_read_and_a_pattern_narrows_them(kind, tmp_path):
    WRITERS[kind](tmp_path)
    (tmp_path / "notes.md").write_text("no data")
    (tmp_path / ".hidden").mkdir()
    everything = source(kind, tmp_path).files()
    assert "notes.md" not in everything
    first = find(FOLDER, kind)(kind=kind, path=tmp_path, include=(everything[0],))
    assert first.files() == everything[:1]


def test_a_damaged_parquet_page_is_set_aside_by_its_checksum(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": ["aaaaaaaaaa", "mmmmmmmmmm", "zzzzzzzzzz"]}), path, compression="none", use_dictionary=False, write_page_checksum=True
    )
    content = path.read_bytes()
    place = content.index(b"mmmmmmmmmm")
    path.write_bytes(content[:place] + b"mmmmnmmmmm" + content[place + 10 :])
    made = source("parquet", path)
    (batch,) = [batch for piece in made.pieces("a.parquet", limit=10) for batch in made.read(piece)]
    assert (len(batch.table), [bad.kind for bad in batch.bad]) == (0, ["unreadable-rows"])
