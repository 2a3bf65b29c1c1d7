import numpy as np
import pyarrow.parquet as pq
import pytest

from medglot.core.errors import RecipeError, StageError
from medglot.core.records import Document
from medglot.core.rows import write_documents
from medglot.core.shards import run_shard
from medglot.models.weights import load_tokenizer
from medglot.train import tokens
from medglot.train.settings import TokensSettings


def index(node, split):
    rows = [row for file in sorted(node.path.glob(f"{split}-*.index.parquet")) for row in pq.read_table(file).to_pylist()]
    return {row["id"]: row for row in rows}


def test_token_files_decode_to_the_documents(workshop):
    documents = workshop.documents("d")
    node = workshop.tokens("t", documents=documents)
    tokenizer = load_tokenizer(node.path / "tokenizer")
    texts = {row["id"]: row["text"] for file in documents.files("*.parquet") for row in pq.read_table(file).to_pylist()}
    found = {}
    for file in node.path.glob("*.index.parquet"):
        ids = np.fromfile(file.with_name(file.name.replace(".index.parquet", ".bin")), dtype="<u2")
        for row in pq.read_table(file).to_pylist():
            part = ids[row["start"] : row["start"] + row["length"]].tolist()
            assert [part[0], part[-1]] == [tokenizer.bos_token_id, tokenizer.eos_token_id]
            found[row["id"]] = tokenizer.decode(part[1:-1])
            assert row["bytes"] == len(found[row["id"]].encode())
    assert found == texts


def test_heldout_documents_are_disjoint_stable_and_enough_in_each_language(workshop):
    one = workshop.tokens("one", documents=workshop.documents("a", shards=1), heldout_share=0.2)
    many = workshop.tokens("many", documents=workshop.documents("b", shards=5), heldout_share=0.2)
    assert set(index(one, "heldout")) == set(index(many, "heldout"))
    assert not set(index(one, "heldout")) & set(index(one, "train"))
    assert {language: cell["documents"] for language, cell in one.manifest.summary["heldout"].items()} == {"en": 12, "ru": 12, "zh": 12}
    assert set(index(workshop.tokens("other", documents=workshop.documents("c"), heldout_share=0.2, seed=1), "heldout")) != set(index(one, "heldout"))
    greedy = workshop.tokens("greedy", documents=workshop.documents("d"), heldout_minimum=500)
    assert greedy.manifest.summary["heldout"]["en"]["documents"] == greedy.manifest.summary["train"]["en"]["documents"] == 30


def test_equal_documents_give_equal_bytes(workshop, contents):
    documents = workshop.documents("d")
    first, second = workshop.tokens("first", documents=documents), workshop.tokens("second", documents=documents)
    assert contents(first.path) == contents(second.path)
    assert first.manifest.summary == second.manifest.summary


def test_an_interrupted_stage_goes_on_to_the_same_bytes(workshop, contents):
    documents = workshop.documents("d", shards=3)
    whole = workshop.tokens("whole", documents=documents)
    context = workshop.context("cut", {"documents": [documents]})

    def dying(function, shards, *, out, title):
        run_shard(function, shards[0], out)
        raise KeyboardInterrupt

    settings = TokensSettings(vocabulary_size=400, heldout_minimum=4)
    with pytest.raises(KeyboardInterrupt):
        tokens.build(settings, type(context)(context.out, context.inputs, context.machine, dying))
    result = tokens.build(settings, context)
    assert contents(context.out) == contents(whole.path)
    assert result.summary == whole.manifest.summary


def test_a_limit_keeps_that_many_bytes_and_counts_the_rest(workshop):
    documents = workshop.documents("d")
    context = workshop.context("t", {"documents": [documents]})
    result = tokens.build(TokensSettings(vocabulary_size=400, heldout_minimum=4, limit_bytes=2000), context)
    result.balance.check()
    assert all(1500 < cell["bytes"] <= 2000 for cell in result.summary["train"].values())
    assert result.balance.dropped["limit_bytes"] == result.balance.read - result.balance.kept > 0


def test_a_tokenizer_is_shared_and_a_special_tokens_name_is_plain_text(workshop):
    first = workshop.tokens("first")
    folder = workshop.root / "more"
    folder.mkdir()
    texts = [f"say <|end|> and <|user|> number {number}" for number in range(20)]
    write_documents(folder / "documents-00000.parquet", [Document(f"x:{place}", text, "en", "made", "CC0-1.0") for place, text in enumerate(texts)])
    second = workshop.tokens("second", documents=type(first)("more", folder, first.manifest), tokenizer=first)
    assert second.manifest.summary["vocabulary_digest"] == first.manifest.summary["vocabulary_digest"]
    ids = np.fromfile(second.path / "train-00000.bin", dtype="<u2")
    assert np.count_nonzero(ids == load_tokenizer(second.path / "tokenizer").eos_token_id) == second.manifest.summary["train"]["en"]["documents"]


def test_a_tokenizer_from_outside_keeps_its_vocabulary(workshop):
    documents = workshop.documents("d")
    first = workshop.tokens("first", documents=documents)
    outside = TokensSettings(base={"path": str(first.path / "tokenizer")}, heldout_minimum=4)
    result = tokens.build(outside, workshop.context("second", {"documents": [documents]}))
    assert result.summary == first.manifest.summary


def test_empty_texts_are_dropped_and_counted(workshop):
    documents = workshop.documents("d", shards=1)
    write_documents(documents.path / "documents-00001.parquet", [Document("void:1", "", "en", "made", "CC0-1.0")])
    context = workshop.context("t", {"documents": [documents]})
    result = tokens.build(TokensSettings(vocabulary_size=400), context)
    assert result.balance.dropped == {"empty": 1}


def test_two_ways_to_a_tokenizer_or_none_are_refused(workshop):
    documents = workshop.documents("d")
    node = workshop.tokens("t", documents=documents)
    for settings, inputs, named in (
        (TokensSettings(), {}, "none"),
        (TokensSettings(vocabulary_size=400), {"tokenizer": [node]}, "vocabulary_size and input tokenizer"),
    ):
        with pytest.raises(RecipeError, match=named):
            tokens.build(settings, workshop.context(f"x{len(inputs)}", {"documents": [documents], **inputs}))


def test_inputs_without_text_are_named_before_a_vocabulary_is_trained(workshop):
    full, empty = workshop.documents("full"), workshop.documents("empty", shards=0)
    settings = TokensSettings(vocabulary_size=400)
    for inputs, named in (
        ({"documents": [empty]}, "empty .input documents."),
        ({"documents": [full], "vocabulary": [empty]}, "empty .input vocabulary."),
    ):
        with pytest.raises(StageError, match=f"no text to train on: {named}"):
            tokens.build(settings, workshop.context("x", inputs))


def test_a_vocabulary_smaller_than_asked_is_noted(workshop):
    documents = workshop.documents("d")
    large = tokens.build(TokensSettings(vocabulary_size=5000), workshop.context("large", {"documents": [documents]}))
    assert f"the vocabulary has {large.summary['vocabulary']:,} entries, not 5,000" in large.notes[0]
    small = tokens.build(TokensSettings(vocabulary_size=300), workshop.context("small", {"documents": [documents]}))
    assert small.notes == ()
