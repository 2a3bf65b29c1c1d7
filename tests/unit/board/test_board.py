import html.parser
import json

from medglot.board.build import build
from medglot.board.settings import BoardSettings

HOSTILE = "</script><script>alert('x')</script><!-- &amp; \u2028"


class Page(html.parser.HTMLParser):
    """Collects the scripts of a page and every address in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action")]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def test_the_page_holds_the_data_of_board_json(context, scores):
    at = context(scores())
    build(BoardSettings(title="Six languages"), at)
    data, script = Page((at.out / "index.html").read_text(encoding="utf-8")).scripts
    board = json.loads((at.out / "board.json").read_text(encoding="utf-8"))
    assert json.loads(data) == board
    assert board["title"] == "Six languages"
    assert "innerHTML" not in script


def test_text_that_looks_like_markup_stays_text(context, scores):
    at = context(scores(model=HOSTILE))
    build(BoardSettings(title=HOSTILE, note=HOSTILE), at)
    scripts = Page((at.out / "index.html").read_text(encoding="utf-8")).scripts
    assert len(scripts) == 2
    board = json.loads(scripts[0])
    assert board["title"] == HOSTILE
    assert board["tables"][0]["rows"][0]["model"] == HOSTILE


def test_the_page_loads_nothing(context, scores):
    at = context(scores())
    build(BoardSettings(), at)
    text = (at.out / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert set(Page(text).addresses) == {"board.json"}


def test_equal_scores_give_equal_bytes(context, scores):
    first, second = context(scores(), folder="one"), context(scores(), folder="two")
    assert build(BoardSettings(), first) == build(BoardSettings(), second)
    for name in ("index.html", "board.json"):
        assert (first.out / name).read_bytes() == (second.out / name).read_bytes()


def test_published_results_can_be_left_out(context, scores):
    at = context(scores())
    build(BoardSettings(published=False), at)
    board = json.loads((at.out / "board.json").read_text(encoding="utf-8"))
    assert {table["origin"] for table in board["tables"]} == {"measured"}


def test_the_disclaimer_stands_in_every_language(context, scores):
    at = context(scores())
    build(BoardSettings(), at)
    board = json.loads((at.out / "board.json").read_text(encoding="utf-8"))
    assert {item["language"] for item in board["disclaimers"]} >= {"en", "es", "fr", "ja", "ru", "zh"}
    assert all(item["text"] for item in board["disclaimers"])


def test_an_edited_template_or_published_table_is_another_board():
    assert {"board.page.html", "board.published.toml", "language.ja"} <= BoardSettings().depends().keys()
