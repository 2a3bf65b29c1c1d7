import re

import pytest

from medglot import languages
from medglot.serve.page import interface, page_files


def test_every_language_has_its_notices_and_all_labels():
    known = interface()
    assert {language["code"] for language in known} == set(languages.codes())
    labels = [language["labels"] for language in known]
    assert all(one.keys() == labels[0].keys() and all(one.values()) for one in labels)
    assert all(language["disclaimer"] and language["emergency"] and language["system"] for language in known)
    assert len({str(one) for one in labels}) == len(known)


def test_every_label_that_the_page_uses_exists():
    used = set(re.findall(r'data-label="(\w+)"', page_files()["/"].body.decode()))
    used |= set(re.findall(r"labels\.(\w+)", page_files()["/chat.js"].body.decode()))
    assert used <= interface()[0]["labels"].keys()


def test_the_page_refers_only_to_its_own_files():
    files = page_files()
    named = re.findall(r'(?:src|href)="([^"]+)"', files["/"].body.decode())
    assert {f"/{name}" for name in named} | {"/", "/languages.json"} == set(files)
    assert not any(re.search(rb"https?://(?!www\.w3\.org)", file.body) for file in files.values())


def test_what_a_model_writes_never_becomes_markup():
    script = page_files()["/chat.js"].body.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


@pytest.mark.parametrize("path", ["/", "/chat.js", "/chat.css", "/languages.json"])
def test_the_files_are_served_under_a_policy_that_forbids_anything_foreign(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert response.content == page_files()[path].body
    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    assert response.headers["x-content-type-options"] == "nosniff"
