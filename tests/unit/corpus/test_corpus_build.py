import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medglot.core.errors import StageError

MEDICAL = "The patient had fever, cough and pneumonia; the physician gave antibiotics and examined heart and lungs for symptoms of disease."
GENERAL = "The old railway line climbs through the hills, and in summer a steam train carries visitors up to the village fair."


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def row(name, text, **more):
    return {"id": name, "text": text, "language": "en", "license": "CC0-1.0", "source": "web"} | more


def quarantined(stages, name="corpus"):
    files = sorted((stages.root / name / "quarantine").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_documents_pass_the_filters_and_every_row_is_accounted_for(stages):
    write_jsonl(stages.root / "in.jsonl", [row("a", MEDICAL), row("b", GENERAL), row("c", "fever"), row("d", MEDICAL, language="de")])
    filters = [{"name": "length", "min_characters": 20}, {"name": "medical"}]
    result = stages.corpus(sources=[{"kind": "jsonl", "path": "in.jsonl"}], filters=filters, keep_dropped=True)
    (kept,) = stages.documents()
    assert (kept.id, kept.text, kept.language, kept.source, kept.license) == ("web:a", MEDICAL, "en", "web", "CC0-1.0")
    assert int(kept.meta["keywords"]) >= 5
    assert 0 < float(kept.meta["keyword_density"]) < 1
    assert result.balance.to_json() == {"read": 4, "kept": 1, "dropped": {"language": 1, "not-medical": 1, "too-short": 1}, "quarantined": {}}
    assert result.summary["funnel"] == [
        {"filter": "length", "read": 3, "kept": 2, "dropped": {"too-short": 1}},
        {"filter": "medical", "read": 2, "kept": 1, "dropped": {"not-medical": 1}},
    ]
    assert result.summary["sources"] == {"en": {"web": {"documents": 1, "characters": len(MEDICAL)}}}
    dropped = pq.read_table(stages.root / "corpus/dropped-00000.parquet").to_pylist()
    assert {item["id"]: item["reason"] for item in dropped} == {"web:b": "not-medical", "web:c": "too-short", "web:d": "language"}


def test_what_the_medical_filter_rejects_can_be_taken_as_general_text(stages):
    write_jsonl(stages.root / "in.jsonl", [row("a", MEDICAL), row("b", GENERAL)])
    stages.corpus(sources=[{"kind": "jsonl", "path": "in.jsonl"}], filters=[{"name": "medical", "keep": "other"}])
    assert [document.id for document in stages.documents()] == ["web:b"]


@pytest.mark.parametrize("keep", ["medical", "other"])
def test_the_filter_is_audited_against_labels_that_it_never_sees(stages, keep):
    write_jsonl(stages.root / "med.jsonl", [row("a", MEDICAL, source="clinic"), row("b", GENERAL, source="clinic")])
    write_jsonl(stages.root / "gen.jsonl", [row(str(number), GENERAL, source="news") for number in range(4)])
    labelled = [{"kind": "jsonl", "path": "med.jsonl", "label": "medical"}, {"kind": "jsonl", "path": "gen.jsonl", "label": "general"}]
    audit = stages.corpus(sources=labelled, filters=[{"name": "medical", "keep": keep}]).summary["audit"]["medical"]["en"]
    assert (audit["recall"], audit["medical_rows"]) == (0.5, 2)
    assert (audit["false_positive_rate"], audit["general_rows"]) == (0.0, 4)
    assert audit["sources"]["clinic"] == {"medical_rows": 2, "recall": 0.5}
    unlabelled = [{key: value for key, value in source.items() if key != "label"} for source in labelled]
    stages.corpus("unlabelled", sources=unlabelled, filters=[{"name": "medical", "keep": keep}])
    assert [document.id for document in stages.documents("unlabelled")] == [document.id for document in stages.documents()]


BAD_LINES = {
    b'{"id": "x", "text": "torn': "bad-json",
    b"[1, 2]": "bad-json",
    b"null": "bad-json",
    b'{"id": "x"}': "missing-column",
    b'{"id": "x", "text": null}': "no-text",
    b'{"id": "x", "text": "  \\n"}': "empty-text",
    b'{"id": "x", "text": 12}': "bad-type",
    b'{"id": "x", "text": "a\\u0000b"}': "nul-byte",
    b'{"id": "x", "text": "half \\ud800"}': "lone-surrogate",
    b'{"id": "x", "text": "\xff\xfe"}': "bad-utf8",
}


@pytest.mark.parametrize(("line", "kind"), BAD_LINES.items(), ids=BAD_LINES.values())
def test_a_bad_line_is_set_aside_by_file_and_row_and_the_rest_goes_on(stages, line, kind):
    good = json.dumps({"id": "good", "text": GENERAL}).encode()
    (stages.root / "in.jsonl").write_bytes(good + b"\n" + line + b"\n" + good.replace(b"good", b"last") + b"\n")
    source = {"kind": "jsonl", "path": "in.jsonl", "source": "s", "license": "MIT", "language": "en"}
    result = stages.corpus(sources=[source])
    assert result.balance.to_json() == {"read": 3, "kept": 2, "dropped": {}, "quarantined": {kind: 1}}
    (entry,) = quarantined(stages)
    assert entry["where"] == "in.jsonl, row 2"
    assert entry["kind"] == kind
    assert any(word in entry["message"] for word in ("set ", "write ", "mend ", "convert ", "extract "))


@pytest.mark.parametrize(("missing", "kind"), [("license", "no-license"), ("source", "no-source"), ("language", "no-language")])
def test_a_row_without_what_a_document_needs_is_set_aside_unless_the_source_says_it(stages, missing, kind):
    bare = {key: value for key, value in row("a", GENERAL).items() if key != missing}
    write_jsonl(stages.root / "in.jsonl", [bare, row("b", GENERAL) | {missing: " "}])
    result = stages.corpus(sources=[{"kind": "jsonl", "path": "in.jsonl"}])
    assert result.balance.to_json()["quarantined"] == {kind: 2}
    fixed = stages.corpus("fixed", sources=[{"kind": "jsonl", "path": "in.jsonl", missing: "en"}])
    assert fixed.balance.kept == 2


def test_a_missing_language_is_identified_when_asked(stages):
    rows = [
        row("a", "患者因发热和咳嗽入院治疗。", language=None),
        row("b", MEDICAL, language=None),
        row("c", "患者は発熱と咳で入院した。", lang="ja", language=None),
    ]
    write_jsonl(stages.root / "in.jsonl", rows)
    stages.corpus(sources=[{"kind": "jsonl", "path": "in.jsonl"}], identify=True)
    assert [document.language for document in stages.documents()] == ["zh", "en", "ja"]


def test_a_regional_language_code_is_its_language(stages):
    write_jsonl(stages.root / "in.jsonl", [row("a", GENERAL, language="EN-us"), row("b", GENERAL, language="zh_CN")])
    stages.corpus(sources=[{"kind": "jsonl", "path": "in.jsonl"}])
    assert [document.language for document in stages.documents()] == ["en", "zh"]


def test_unreadable_files_count_once_and_the_other_files_are_read(stages):
    folder = stages.root / "data"
    folder.mkdir()
    table = pa.table({"id": ["1"], "text": [GENERAL], "lang": ["en"]})
    pq.write_table(table, folder / "good.parquet")
    whole = (folder / "good.parquet").read_bytes()
    (folder / "torn.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.parquet").write_bytes(b"")
    pq.write_table(table.rename_columns(["id", "body", "lang"]), folder / "other.parquet")
    result = stages.corpus(sources=[{"kind": "parquet", "path": "data", "source": "s", "license": "MIT"}])
    assert result.balance.to_json()["quarantined"] == {"empty-file": 1, "missing-column": 1, "unreadable-file": 1}
    assert (result.balance.read, result.balance.kept) == (4, 1)
    assert {entry["where"] for entry in quarantined(stages)} == {"empty.parquet", "torn.parquet", "other.parquet"}
    assert all(str(stages.root) not in json.dumps(entry) for entry in quarantined(stages))


def test_repeated_ids_are_made_unique_in_the_order_of_the_input(stages):
    write_jsonl(stages.root / "a.jsonl", [row("x", f"{GENERAL} {number}") for number in range(3)] + [row("x#2", GENERAL)])
    write_jsonl(stages.root / "b.jsonl", [row("x", MEDICAL), row("y", MEDICAL)])
    sources = [{"kind": "jsonl", "path": name} for name in ("a.jsonl", "b.jsonl")]
    result = stages.corpus(sources=sources)
    assert [document.id for document in stages.documents()] == ["web:x", "web:x#3", "web:x#4", "web:x#2", "web:x#5", "web:y"]
    assert result.summary["repeated_ids"] == 3
    stages.corpus(sources=sources)  # nothing changes when the last step is done again
    (stages.root / "corpus/.shards/ids-00000.json").unlink()
    before = stages.bytes("corpus")
    stages.corpus(sources=sources)
    assert stages.bytes("corpus") == before


def test_a_row_without_an_id_is_called_by_file_and_row(stages):
    write_jsonl(stages.root / "data/in.jsonl", [{"text": GENERAL}, {"text": MEDICAL, "id": ""}])
    stages.corpus(sources=[{"kind": "jsonl", "path": "data", "source": "s", "license": "MIT", "language": "en", "columns": {"id": "id"}}])
    assert [document.id for document in stages.documents()] == ["s:in.jsonl#1", "s:in.jsonl#2"]


def test_columns_are_found_under_the_names_a_recipe_gives_and_meta_is_kept(stages):
    pq.write_table(pa.table({"uid": [7], "body": [GENERAL], "url": ["http://x"], "l": ["en"]}), stages.root / "in.parquet")
    columns = {"id": "uid", "text": "body", "language": "l", "meta": ["url"]}
    stages.corpus(sources=[{"kind": "parquet", "path": "in.parquet", "source": "s", "license": "MIT", "columns": columns}])
    (document,) = stages.documents()
    assert document.id == "s:7"
    assert document.meta == {"url": "http://x"}


def many(stages, *, shards):
    for number in range(shards):
        write_jsonl(
            stages.root / f"data/{number}.jsonl", [row(f"{number}-{place}", f"{MEDICAL} {place}") for place in range(5)] + [row("same", GENERAL)]
        )
    return {"sources": [{"kind": "jsonl", "path": "data"}], "filters": [{"name": "medical"}], "documents_per_shard": 3}


def test_bytes_do_not_depend_on_the_order_of_work_or_the_folder(stages):
    settings = many(stages, shards=3)
    first = stages.corpus("first", **settings)
    stages.backwards = True
    second = stages.corpus("second", **settings)
    assert stages.bytes("first") == stages.bytes("second")
    assert first.summary == second.summary
    assert len(stages.documents("first")) == 15


@pytest.mark.parametrize("after", range(7))
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(stages, after):
    settings = many(stages, shards=3) | {"filters": []}
    stages.corpus("whole", **settings)
    stages.done, stages.killed_after = [], after
    with pytest.raises(KeyboardInterrupt):
        stages.corpus("cut", **settings)
    stages.killed_after = None
    stages.corpus("cut", **settings)
    assert stages.bytes("cut") == stages.bytes("whole")


def test_a_folder_without_a_fitting_file_is_an_error(stages):
    (stages.root / "data").mkdir()
    with pytest.raises(StageError, match=r"no file matches \*\.parquet"):
        stages.corpus(sources=[{"kind": "parquet", "path": "data"}])
