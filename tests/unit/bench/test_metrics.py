import random
import warnings

import pytest
from nltk.translate import bleu_score
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU

from medglot.bench.metrics import bleu, rouge

WEIGHTS = [(1 / order,) * order for order in range(1, 5)]


def make_pairs(count=60, seed=5):
    """Texts of 0 to 40 words, the candidate a damaged copy of the reference; some share nothing."""
    chance = random.Random(seed)
    vocabulary = [f"слово{number}" for number in range(12)] + ["药", "熱", "é"]
    pairs = []
    for number in range(count):
        reference = chance.choices(vocabulary, k=chance.randint(1, 40))
        candidate = [word for word in reference if chance.random() < 0.8] if number % 3 else chance.choices(vocabulary, k=chance.randint(0, 40))
        pairs.append((candidate, reference))
    return [*pairs, ([], ["a"]), (["a"], ["a"]), (["a", "b"], ["c"]), (["a"] * 9, ["a"] * 3)]


@pytest.mark.parametrize(("smoothing", "method"), [("none", "method0"), ("epsilon", "method1"), ("add-one", "method2")])
def test_sentence_bleu_is_that_of_nltk(smoothing, method):
    function = getattr(bleu_score.SmoothingFunction(), method)
    for candidate, reference in make_pairs():
        ours = bleu.bleu(bleu.count(candidate, reference), smoothing=smoothing)
        with warnings.catch_warnings(action="ignore"):
            theirs = [bleu_score.sentence_bleu([reference], candidate, weights=weights, smoothing_function=function) for weights in WEIGHTS]
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_corpus_bleu_is_that_of_nltk_and_of_sacrebleu():
    pairs = make_pairs()
    ours = bleu.bleu(bleu.add(bleu.count(*pair) for pair in pairs))
    texts = [" ".join(candidate) for candidate, _ in pairs], [" ".join(reference) for _, reference in pairs]
    for order in range(1, 5):
        metric = BLEU(tokenize="none", max_ngram_order=order, smooth_method="none")
        assert 100 * ours[order - 1] == pytest.approx(metric.corpus_score(texts[0], [texts[1]]).score, abs=1e-9)
    long_enough = [pair for pair in pairs if len(pair[0]) >= 4]
    ours = bleu.bleu(bleu.add(bleu.count(*pair) for pair in long_enough))
    candidates, references = [candidate for candidate, _ in long_enough], [[reference] for _, reference in long_enough]
    assert ours == pytest.approx([bleu_score.corpus_bleu(references, candidates, weights) for weights in WEIGHTS], abs=1e-9)


def test_rouge_is_that_of_rouge_score_on_the_same_words():
    class Split:
        def tokenize(self, text):
            return text.split()

    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Split())
    for candidate, reference in make_pairs():
        ours = rouge.rouge(candidate, reference)
        theirs = scorer.score(" ".join(reference), " ".join(candidate))
        for name in ("rouge1", "rouge2", "rougeL"):
            assert getattr(ours, name) == pytest.approx(theirs[name].fmeasure, abs=1e-9)


def test_the_longest_common_subsequence_is_that_of_the_table():
    for one, other in make_pairs(30, seed=9):
        table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
        for row, word in enumerate(one):
            for column, second in enumerate(other):
                table[row + 1][column + 1] = table[row][column] + 1 if word == second else max(table[row][column + 1], table[row + 1][column])
        assert rouge.common_subsequence(one, other) == table[-1][-1]


def test_equal_texts_score_one_and_an_empty_text_scores_zero():
    words = ["un", "deux", "trois", "quatre", "cinq"]
    assert bleu.bleu(bleu.count(words, words)) == pytest.approx([1.0] * 4)
    assert rouge.rouge(words, words) == rouge.Rouge(1.0, 1.0, 1.0)
    assert bleu.bleu(bleu.count([], words)) == (0.0,) * 4
    assert rouge.rouge([], words) == rouge.Rouge(0.0, 0.0, 0.0)


def test_a_signature_names_everything_that_changes_a_value():
    assert bleu.signature(tokeniser="jieba:0.42.1", level="corpus", smoothing="none") == (
        "bleu|version:1|level:corpus|tokeniser:jieba:0.42.1|case:lower|smoothing:none"
    )
    assert rouge.signature(tokeniser="words:1") == "rouge|version:1|f:1|tokeniser:words:1|case:lower|stemming:none"
