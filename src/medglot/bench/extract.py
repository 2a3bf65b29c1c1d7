"""Which options a written reply gives as its answer: an ordered list of rules, each of which finds the answer or passes.

A letter counts only in a form in which people answer ("Answer: B", "故选C", a line of its own), so that the article in "An answer" is no A and the
vitamin in "Vitamin C" no C. What no rule reads is unparsed: counted apart, never guessed. The phrases of all languages are tried on every reply,
since models answer a French question in English too; the language's file adds its own word for "answer".
"""

from __future__ import annotations

import collections
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medglot import languages

# Cyrillic letters that look like Latin ones. The prompts label options with Latin letters, so in an answer they stand for those; letters without a
# Latin double are none of the labels.
_LOOK_ALIKES = str.maketrans("АВСЕНІЈавсеі", "ABCEHIJabcei")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_MARKUP = str.maketrans("*_`#$\t\r", "       ")

_LAST = 20  # places of a rule that are looked at, from the end
_QUOTES = "\"'“‘„«「『"
_CJK = "\u3040-\u30ff\u3400-\u9fff"

# A letter that is no part of a word (Han and kana may touch it: 选B, Bが正解), and lists of such letters. Quantifiers are possessive or bounded
# where a reply caught in a loop would else cost minutes.
_LETTER = rf"(?<![^\W{_CJK}])[A-ZАВСЕІЈ](?![^\W{_CJK}]|['’]\w)"
_OPEN, _CLOSE = r"(?:[(\[{«\"'“「『【<]{1,3}+\s*+)?+", r"(?:\s*+[)\]}»\"'”」』】>]++)?+"
_ITEM = rf"{_OPEN}{_LETTER}{_CLOSE}"
_AND = r"(?:and|et|y|и)"
_JOIN = rf"(?:\s*+[,、;/&+・]\s*+(?:{_AND}\s++)?|\s++{_AND}\s++|\s*+[和与及と]\s*+)"
_LIST = rf"{_ITEM}(?:{_JOIN}{_ITEM}){{0,9}}"
# What may stand between a cue and its letters, behind them at the end of a line, and behind them in a sentence.
_KIND = (
    r"(?:(?:the|la|le|les|el|los|las|options?|choices?|letters?|propositions?|lettres?|opci[oó]n(?:es)?|letras?|вариант[а-я]*|букв[а-я]*|под)\s+"
    r"|l['’]|选项|選択肢|選項|选择|选|記号|字母)*"
)
_TAIL = r"\s*+(?:です|である|だ|となる|を選ぶ|项|項|选项)?[\s.。!,;:\"'”»)\]}]*+"
_FOLLOW = re.compile(
    r"\s*(?:[.,;:!)\]。—–(\n]|\s-\s|(?:because|since|as|given|car|parce|puisque|porque|ya\s+que|pues|потому|так\s+как|поскольку)\b"
    r"|です|である|だ[。\s]|项|項|选项)"
)
_EITHER = re.compile(r"\s*,?\s*(?:(?:or|ou|o|u|или|либо)\s+|或者?|または|還是|还是)(?:[a-zа-я]+\s+){0,2}" + _ITEM, re.IGNORECASE)
_KINDS = re.compile(rf"\s*+{_KIND}", re.IGNORECASE)
_LETTERS_THEN = re.compile(_LIST)
_ONLY_LETTERS = re.compile(rf"\s*+{_KIND}(?P<list>{_LIST}|{_LETTER}(?:\s++{_LETTER}){{1,9}}){_TAIL}", re.IGNORECASE)
_ONLY_RUN = re.compile(rf"\s*+{_OPEN}(?P<run>[A-Z]{{2,}}+){_TAIL}")
_LABEL = re.compile(rf"{_OPEN}(?P<letter>{_LETTER})(?:{_CLOSE}\s*[.:、]|\s*[)\]]|\s+[-–—])\s*")
_NEXT_LABEL = re.compile(rf"(?:[,;.、。]\s*|\s{_AND}\s+|[和与及と])[(\[]?(?P<letter>{_LETTER})(?:[)\].:、]|\s+[-–—])\s*")

# A cue is a noun for "the answer" with a colon (an answer line) or with a verb (a statement).
_NOUN = (
    r"(?:(?:final|correct|best|right|most\s+(?:likely|appropriate))\s+)?answers?(?:\s*\(s\))?(?:\s+(?:choice|option|letter)s?)?"
    r"|(?:correct|best|right)\s+(?:option|choice|letter)s?"
    r"|(?:bonnes?\s+|meilleures?\s+)?r[eé]ponses?(?:\s+(?:finales?|correctes?|exactes?|justes?|attendues?))*"
    r"|(?:propositions?|options?|lettres?)\s+(?:correctes?|exactes?|justes?)"
    r"|respuestas?(?:\s+(?:final(?:es)?|correctas?))*|(?:opci[oó]n(?:es)?|alternativas?|letras?)\s+correctas?"
    r"|(?:(?:правильн|верн|окончательн|итогов)[а-яё]+\s+)?ответ(?:ы|ом|ами)?|(?:правильн|верн)[а-яё]+\s+вариант[а-яё]*(?:\s+ответа)?"
    r"|(?:最终|正确|最佳|参考|标准)?的?答案|(?:正确|最佳)的?选项"
    r"|(?:最終|正しい)?(?:解答|回答|答え|正解|正答)|正しい(?:選択肢|もの)"
)
_VERB = (
    r"(?:\s+(?:is|are|would\s+be|should\s+be|must\s+be|est|sont|serait|es|son|ser[ií]a|является|являются|будет)\b"
    r"|\s*(?:应该?是|应为|是|为|為|は|—|–|\s-\s))"
)
_STATEMENT = re.compile(
    rf"(?<!\w)(?:(?:the|la|les|el|las)\s+)?(?:{_NOUN}){_VERB}\s*:?|(?:{_NOUN})(?:应该?是|应为|是|为|は)|(?<!不)(?<!可)选择?(?!项|择)", re.IGNORECASE
)
_VERDICT = re.compile(
    rf"(?P<list>{_LIST})\s*(?:(?:is|are)\s+(?:the\s+)?(?:correct|right|best)\b|(?:est|sont)\s+(?:la\s+|les\s+)?(?:bonnes?\s+r[eé]ponses?|correctes?|exactes?)"
    r"|(?:es|son)\s+(?:la\s+|las\s+)?(?:respuestas?\s+)?correctas?|(?:[—–-]\s*|является\s+)(?:правильн|верн)[а-яё]+"
    r"|(?:верен|верна|верно|верны)\b|(?:は|が)(?:正解|正しい|正答)|(?:选项|项)?是?正确(?!吗))"
)
_LINE = re.compile(r"^.*\S.*$", re.MULTILINE)
_WORD = re.compile(r"[a-zа-яёß-ÿ]+")
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{)?(?P<content>[^{}\n]*)\}")
_REFUSAL = re.compile(
    r"\b(?:I|we)\s+(?:cannot|can['’]?t|can\s+not|am\s+(?:unable|not\s+able|not\s+sure)|do\s+not\s+know|don['’]t\s+know)\b|\bas\s+an\s+AI\b"
    r"|\b(?:unable|impossible)\s+to\s+(?:answer|determine|say)\b|\bnot\s+enough\s+information\b"
    r"|\bje\s+ne\s+(?:peux|sais|suis)\s+pas\b|\bimpossible\s+de\s+(?:répondre|déterminer|dire)\b|\ben\s+tant\s+qu['’]\s*IA\b"
    r"|\bno\s+(?:puedo|(?:lo\s+)?s[eé]|es\s+posible|podemos)\b|\bcomo\s+(?:una\s+)?(?:IA|inteligencia|modelo\s+de\s+lenguaje)\b"
    r"|\bне\s+(?:могу|знаю|уверен[а-я]*)\b|\bневозможно\s+(?:ответить|определить|сказать)\b|\bкак\s+(?:ИИ|языковая\s+модель)\b"
    r"|(?:无法|不能|难以)(?:回答|确定|判断|提供|给出)|不知道|不清楚|作为(?:一个)?(?:AI|人工智能)|信息不足"
    r"|(?:お答え|回答|判断|特定)(?:は)?(?:できません|できない|しかねます|いたしかねます)|(?:分か|わか)りません|不明です",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a reply answers.

    `answered` holds option positions in ascending order, or None. `rule` names the rule that read them, or says why there is no answer: ``refusal``,
    ``ambiguous`` ("A or B"), ``no-such-option``, ``none``. `span` is where the answer stands in the reply (begin, end): the rationale ends where it
    begins.
    """

    answered: tuple[int, ...] | None
    rule: str
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """Letters that a rule read, or the reason why none of them counts."""

    span: tuple[int, int]
    positions: tuple[int, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class _Paper:
    """The reply in a form that is easy to read, character for character in place, with what is known of the question."""

    text: str
    options: tuple[str, ...]
    cue: re.Pattern[str]


_Rule = Callable[[_Paper], _Found | None]


def extract(text: str, *, options: Sequence[str], language: str) -> Extraction:
    """The answer that `text`, a model's reply, gives to a question with these option texts."""
    paper = _Paper(_readable(text), tuple(_plain(option) for option in options), _cue(language))
    for name, rule in RULES.items():
        found = rule(paper)
        if found is not None:
            return Extraction(None if found.failure else found.positions, found.failure or name, found.span)
    refusal = _REFUSAL.search(paper.text)
    return Extraction(None, "refusal" if refusal else "none", (len(text), len(text)))


def rationale(text: str, extraction: Extraction) -> str:
    """What a reply says before its answer; thinking aloud in ``<think>`` tags is not part of it."""
    before = text[: extraction.span[0]].rpartition("</think>")[2]
    return before.strip().rstrip("*_`#$\\([{<【「 \n")


def _boxed(paper: _Paper) -> _Found | None:
    for match in _last(_BOXED, paper.text):
        if found := _read(paper, match.start(), match.start("content"), match.end("content")):
            return found
    return None


def _answer_line(paper: _Paper) -> _Found | None:
    for cue in _last(paper.cue, paper.text):
        if _cited(paper.text, cue):
            continue
        start, end = _content(paper.text, cue.end())
        if found := _read(paper, cue.start(), start, end):
            return found
        if _REFUSAL.search(paper.text, start, end):
            return _Found((cue.start(), end), failure="refusal")
    return None


def _statement(paper: _Paper) -> _Found | None:
    for cue in _last(_STATEMENT, paper.text):
        sentence = max(paper.text.rfind(mark, 0, cue.start()) for mark in ".。!?\n") + 1
        if _REFUSAL.search(paper.text, sentence, cue.start()):
            continue
        if found := _read(paper, cue.start(), cue.end(), _line_end(paper.text, cue.end())):
            return found
    return None


def _verdict(paper: _Paper) -> _Found | None:
    named = [_named(paper, match["list"], match.span()) for match in _last(_VERDICT, paper.text)]
    found = [one for one in named if not one.failure]
    if len({one.positions for one in found}) > 1:
        return _Found(found[0].span, failure="ambiguous")
    return found[0] if found else None


def _letters_alone(paper: _Paper) -> _Found | None:
    """A last or first line that is nothing but letters, or the only line that is a label with the option's text."""
    lines = [match.span() for match in _LINE.finditer(paper.text)]
    for start, end in [lines[-1], lines[0]] if lines else []:
        if found := _whole_list(paper, start, start, end):
            return found
    labels = [(span, label) for span in lines if (label := _LABEL.match(paper.text, *span))]
    if len(labels) == 1 and _repeats(paper, _position(labels[0][1]["letter"]), labels[0][1].end(), labels[0][0][1]):
        return _labelled(paper, labels[0][0][0], *labels[0][0])
    return None


def _option_text(paper: _Paper) -> _Found | None:
    """The whole reply, or its last line, is one option's text."""
    lines = [match.span() for match in _LINE.finditer(paper.text)]
    if not lines:
        return None
    start, end = lines[0][0], lines[-1][1]
    return _same_text(paper, start, start, end) or _same_text(paper, lines[-1][0], *lines[-1])


RULES: dict[str, _Rule] = {
    "boxed": _boxed,
    "answer-line": _answer_line,
    "statement": _statement,
    "verdict": _verdict,
    "letters-alone": _letters_alone,
    "option-text": _option_text,
}
"""The rules, the most explicit form first. The first that finds something decides; within a rule the last place in the reply does."""


def _read(paper: _Paper, begin: int, start: int, end: int) -> _Found | None:
    """The answer in ``text[start:end]``, which follows a cue that begins at `begin`."""
    kinds = _KINDS.match(paper.text, start, end)
    letters = kinds.end() if kinds else start  # behind "the option", "la", "选项"
    return (
        _whole_list(paper, begin, letters, end)
        or _same_text(paper, begin, start, end)
        or _labelled(paper, begin, letters, end)
        or _list_then_words(paper, begin, letters, end)
    )


def _whole_list(paper: _Paper, begin: int, start: int, end: int) -> _Found | None:
    """``B``, ``(a)``, ``A, C``, ``A et C``, ``A C``, ``ACD`` and no more; unless the same is an option's text, as ``A+B`` and ``T`` may be."""
    if listed := _ONLY_LETTERS.fullmatch(paper.text, start, end):
        found = _named(paper, listed["list"], (begin, end))
        return found if len(found.positions) == 1 else _same_text(paper, begin, start, end) or found
    run = _ONLY_RUN.fullmatch(paper.text, start, end)
    if run and list(run["run"]) == sorted(set(run["run"])) and not _same_text(paper, begin, start, end):
        found = _named(paper, " ".join(run["run"]), (begin, end))
        return None if found.failure else found
    return None


def _same_text(paper: _Paper, begin: int, start: int, end: int) -> _Found | None:
    """One option's text and no more."""
    text = _plain(paper.text[start:end])
    same = [position for position, option in enumerate(paper.options) if option and option == text]
    return _Found((begin, end), (same[0],)) if len(same) == 1 else None


def _labelled(paper: _Paper, begin: int, start: int, end: int) -> _Found | None:
    """``B. Metformin``, ``(B) ...``, ``A. Fever; C. Cough``; but not ``E. coli``."""
    first = _LABEL.match(paper.text, start, end)
    if not first or first.end() == end:
        return None
    word = _WORD.match(paper.text, first.end(), end)
    repeats = _repeats(paper, _position(first["letter"]), first.end(), end)
    if word and not repeats and any(word.group() in option.split() for option in paper.options):
        return _Found((begin, end), failure="ambiguous")
    further = [label for label in _NEXT_LABEL.finditer(paper.text, first.end(), end) if _repeats(paper, _position(label["letter"]), label.end(), end)]
    return _named(paper, " ".join(label["letter"] for label in [first, *further]), (begin, end))


def _list_then_words(paper: _Paper, begin: int, start: int, end: int) -> _Found | None:
    """Capital letters, then punctuation, a reason, or the option's own text."""
    listed = _LETTERS_THEN.match(paper.text, start, end)
    if not listed:
        return None
    rest = listed.end()
    if _EITHER.match(paper.text, rest, end):
        return _Found((begin, end), failure="ambiguous")
    found = _named(paper, listed.group(), (begin, end))
    closed = listed.group()[-1] in ")]}»\"'”」』】>"
    repeats = any(_repeats(paper, position, rest, end) for position in found.positions)
    return found if closed or repeats or _FOLLOW.match(paper.text, rest, end) else None


def _repeats(paper: _Paper, position: int, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` begins with the text of the option at `position`."""
    return position < len(paper.options) and _plain(paper.text[start:end]).startswith(paper.options[position] or "\0")


def _named(paper: _Paper, letters: str, span: tuple[int, int]) -> _Found:
    """The positions of the letters in a list."""
    found = re.findall(_LETTER, re.sub(rf"\b{_AND}\b", " ", letters, flags=re.IGNORECASE).upper())
    positions = tuple(sorted({_position(letter) for letter in found}))
    if not positions or positions[-1] >= len(paper.options):
        return _Found(span, failure="no-such-option")
    return _Found(span, positions)


def _position(letter: str) -> int:
    return ord(letter.translate(_LOOK_ALIKES).upper()) - ord("A")


def _cited(text: str, cue: re.Match[str]) -> bool:
    """Whether the cue stands in quotation marks within a line, as where a model repeats the form that it was told to answer in."""
    before = text[: cue.start()].rpartition("\n")[2].rstrip()
    return before.endswith(tuple(_QUOTES)) and before.strip(_QUOTES + " {[") != "" and not any(mark in cue.group() for mark in _QUOTES)


def _last(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The last matches, from the end; a model caught in a loop may write thousands."""
    return list(collections.deque(pattern.finditer(text), maxlen=_LAST))[::-1]


def _content(text: str, start: int) -> tuple[int, int]:
    """The rest of the line after a cue, or the next line that is not blank."""
    begin = start + len(text[start:]) - len(text[start:].lstrip())
    return begin, _line_end(text, begin)


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _readable(text: str) -> str:
    """`text` with full-width forms narrowed and markup and thinking blanked out, every other character in its place."""
    text = text.translate(_FULL_WIDTH).translate(_MARKUP)
    text = text.replace("<answer>", " answer:").replace("</answer>", "\n" * 9)
    closed = text.rfind("</think>")
    if closed >= 0:
        text = " " * (closed + 8) + text[closed + 8 :]
    opened = text.find("<think>")
    return text if opened < 0 else text[:opened] + " " * (len(text) - opened)


def _plain(text: str) -> str:
    """For comparison: lower case, single spaces, no punctuation at the ends."""
    narrowed = text.translate(_FULL_WIDTH).translate(_MARKUP)
    return " ".join(narrowed.casefold().split()).strip(" .,;:!?。、()[]{}«»\"'“”「」")


@functools.cache
def _cue(language: str) -> re.Pattern[str]:
    own = re.escape(languages.load(language).words.answer)
    return re.compile(rf"(?<![^\W{_CJK}])(?:{own}|{_NOUN})(?:\s*\([^)\n]{{0,20}}\))?\s*(?:[\"'”]?\s*[:=]|[】\]」]\s*:?)", re.IGNORECASE)
