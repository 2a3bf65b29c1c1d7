import pyarrow as pa

from medglot.corpus.statistics import Audit, Funnel, Tally


def table(*rows):
    return pa.table({name: [row[number] for row in rows] for number, name in enumerate(("language", "source", "license", "text"))})


def test_a_tally_adds_up_by_language_source_and_licence_in_any_order():
    one, two = Tally(), Tally()
    one.add(table(("fr", "web", "MIT", "été"), ("en", "web", "CC0", "ab")))
    two.add(table(("en", "book", "MIT", "abcd")))
    summary = Tally.total([one.to_json(), two.to_json()]).summary()
    assert summary == Tally.total([two.to_json(), one.to_json()]).summary()
    assert (summary["documents"], summary["characters"]) == (3, 9)
    assert summary["languages"] == {"en": {"documents": 2, "characters": 6}, "fr": {"documents": 1, "characters": 3}}
    assert summary["sources"]["en"] == {"book": {"documents": 1, "characters": 4}, "web": {"documents": 1, "characters": 2}}
    assert summary["licenses"]["MIT"] == {"documents": 2, "characters": 7}
    assert list(summary["languages"]) == ["en", "fr"]


def test_a_funnel_keeps_two_filters_of_one_name_apart():
    funnel = Funnel(("length", "length"))
    funnel.read.update({0: 5, 1: 3})
    funnel.dropped.update({(0, "too-short"): 2, (1, "too-long"): 1})
    summary = Funnel.total(("length", "length"), [funnel.to_json(), funnel.to_json()]).summary()
    assert summary[0] == {"filter": "length", "read": 10, "kept": 6, "dropped": {"too-short": 4}}
    assert summary[1] == {"filter": "length", "read": 6, "kept": 4, "dropped": {"too-long": 2}}


def test_an_audit_weighs_sources_by_their_rows():
    audit = Audit()
    batch = pa.table({"language": ["en"] * 4, "source": ["a", "b", "b", "b"]})
    audit.add(batch, filter_name="medical", label="medical", medical=pa.array([False, True, True, True]))
    assert Audit.total([audit.to_json()]).summary() == {
        "medical": {
            "en": {
                "sources": {"a": {"medical_rows": 1, "recall": 0.0}, "b": {"medical_rows": 3, "recall": 1.0}},
                "medical_rows": 4,
                "recall": 0.75,
            }
        }
    }
