import pytest

from medglot.core.errors import RecipeError
from medglot.core.find import find, load, names


def test_a_name_finds_the_class_in_its_file():
    from medglot.launch.local import Local

    assert find("medglot.launch", "local") is Local


def test_any_installed_package_can_be_named():
    assert find("medglot.launch", "collections:Counter").__name__ == "Counter"


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(RecipeError, match=r"'kubernetes' is not in medglot\.launch: choose one of local"):
        find("medglot.launch", "kubernetes")


def test_a_reference_that_cannot_be_loaded_is_named():
    with pytest.raises(RecipeError, match=r"cannot load 'no\.such:Thing'"):
        load("no.such:Thing")


def test_listing_names_imports_none_of_them():
    assert "local" in names("medglot.launch")
    assert "base" not in names("medglot.launch")
