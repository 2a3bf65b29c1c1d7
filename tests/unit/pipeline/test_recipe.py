import pytest

from medglot.core.errors import RecipeError
from medglot.pipeline.recipe import load_recipe
from medglot.pipeline.stages import STAGES, Role


def test_nodes_follow_their_inputs_whatever_the_order_in_the_file(tmp_path):
    (tmp_path / "r.toml").write_text('[repeat.b]\ninputs = { lines = "a" }\n[lines.a]\nsource = "x.txt"\n')
    assert list(load_recipe(tmp_path / "r.toml").nodes) == ["a", "b"]


def test_the_recipes_seed_reaches_every_node_unless_it_has_its_own(tmp_path):
    (tmp_path / "r.toml").write_text('seed = 5\n[lines.a]\nsource = "x"\n[lines.b]\nsource = "x"\nseed = 6\n')
    nodes = load_recipe(tmp_path / "r.toml").nodes
    assert (nodes["a"].settings.seed, nodes["b"].settings.seed) == (5, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[lines.a]\nsorce = "x"', r"r\.toml: lines\.a: sorce: unknown key"),
        ("[lines.a]", r"lines\.a: source: this key is required"),
        ("[nonsense.a]", r"nonsense: no such key or stage; a stage is one of corpus"),
        ('[repeat.a]\ninputs = { lines = "b" }', r"repeat\.a\.inputs\.lines: no node is called 'b'"),
        ("[repeat.a]", r"repeat\.a\.inputs\.lines: required"),
        ('[lines.a]\nsource = "x"\ninputs = { more = "b" }', r"lines\.a\.inputs\.more: unknown role; lines takes no inputs"),
        ('[lines.a]\nsource = "x"\n[repeat.a]\ninputs = { lines = "a" }', r"'a' is also a lines node"),
        ('[repeat.a]\ninputs = { lines = "b" }\n[repeat.b]\ninputs = { lines = "a" }', "in a circle: a, b"),
        ('[lines."A b"]\nsource = "x"', r"lower-case letters"),
        ('seed = "x"', "seed: must be a whole number"),
        ("", "holds no node"),
    ],
)
def test_a_wrong_recipe_names_the_key_and_the_remedy(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path / "r.toml")


def test_all_faults_are_shown_together(tmp_path):
    (tmp_path / "r.toml").write_text('[lines.a]\n[repeat.b]\ntimes = 0\ninputs = { lines = "a" }\n[wrong.c]\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.toml")
    assert len(str(caught.value).splitlines()) == 3


def test_an_input_of_the_wrong_kind_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(STAGES, "count", STAGES["lines"].__class__(STAGES["lines"].settings, "x:y", "numbers"))
    (tmp_path / "r.toml").write_text('[count.a]\nsource = "x"\n[repeat.b]\ninputs = { lines = "a" }')
    with pytest.raises(RecipeError, match="'a' makes numbers, but lines is needed"):
        load_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize(("override", "value"), [("repeat.second.times=7", 7), ("repeat.second.seed = 9", 2)])
def test_an_override_replaces_one_value(recipe_file, override, value):
    assert load_recipe(recipe_file, [override]).nodes["second"].settings.model_dump()["times"] == value


def test_an_override_reaches_into_lists_and_takes_bare_words_as_text(recipe_file):
    recipe_file.write_text(recipe_file.read_text().replace('source = "input.txt"', 'source = "input.txt"\nskip = ["a", "b"]'))
    settings = load_recipe(recipe_file, ["lines.first.skip.1=one", "lines.first.prefix=x"]).nodes["first"].settings.model_dump()
    assert (settings["skip"], settings["prefix"]) == (("a", "one"), "x")


@pytest.mark.parametrize("override", ["repeat.second.times", "lines.first.source.x=1", "repeat.nowhere.times=1"])
def test_an_override_that_fits_nothing_is_refused(recipe_file, override):
    with pytest.raises(RecipeError):
        load_recipe(recipe_file, [override])


def test_a_superscript_is_no_position(tmp_path):
    (tmp_path / "r.toml").write_text('[lines.a]\nsource = "x"\nskip = ["one"]\n')
    with pytest.raises(RecipeError, match="'²' must be a position from 0 to 0"):
        load_recipe(tmp_path / "r.toml", ["lines.a.skip.²=two"])


def test_a_role_is_read_from_its_short_form():
    assert Role.parse("documents+") == Role("documents", 1, None)
    assert Role.parse("model?") == Role("model", 0, 1)
    assert Role.parse("scores*") == Role("scores", 0, None)
    assert Role.parse("tokens") == Role("tokens", 1, 1)
