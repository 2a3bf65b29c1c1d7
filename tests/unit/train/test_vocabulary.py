from medglot.core.records import Turn
from medglot.models.chat import SPECIAL_TOKENS, encode_prompt
from medglot.train.vocabulary import train_bpe, vocabulary_digest

TEXTS = [
    "The dose is 250 mg of aspirin a day, 250 mg.",
    "La dose est de 250 mg d'aspirine par jour.",
    "Больной принимает аспирин, 250 мг в день.",
    "患者每天服用阿司匹林250毫克。患者每天",
    "患者はアスピリンを毎日服用した。アスピリン",
] * 4


def test_equal_texts_give_equal_tokenizers():
    first, second = (train_bpe(TEXTS, size=350) for _ in range(2))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
    assert len(first) <= 350


def test_decoding_gives_back_any_text():
    tokenizer = train_bpe(TEXTS, size=350)
    for text in [*TEXTS[:5], "  two  spaces\n\n\ttab ", "e\u0301 combining", "emoji 🩺 and \u200b zero width", "3.5×10⁹/L"]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_digits_stand_alone_and_words_of_every_script_are_whole():
    tokenizer = train_bpe(TEXTS, size=600)
    for number in ("250", "1998"):
        assert len(tokenizer.encode(number, add_special_tokens=False)) == len(number)
    for word in (" aspirin", " принимает", "患者每天", "アスピリン"):
        assert len(tokenizer.encode(word, add_special_tokens=False)) == 1, word


def test_special_tokens_come_first_and_a_text_begins_with_bos():
    tokenizer = train_bpe(TEXTS, size=350)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(len(SPECIAL_TOKENS)))
    assert tokenizer.encode("aspirin")[0] == tokenizer.bos_token_id == 0
    assert encode_prompt(tokenizer, [Turn("user", "Dose?")])[0] == 0


def test_the_digest_of_a_vocabulary_knows_ids_and_not_their_order():
    assert vocabulary_digest({"a": 1, "b": 2}) == vocabulary_digest({"b": 2, "a": 1})
    assert vocabulary_digest({"a": 1, "b": 2}) != vocabulary_digest({"a": 2, "b": 1})
