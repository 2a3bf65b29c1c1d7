TEXT = "Measles is a viral infection."


def test_texts_that_differ_only_in_width_and_white_space_are_one(stages, document):
    same = [TEXT, "  Measles is a\nviral\t infection. ", "Ｍeasles is a\u3000viral infection.", "Measles\u00a0is\u2003a viral\x0binfection."]
    stages.write("in", [document(str(number), text) for number, text in enumerate(same)] + [document("other", TEXT.lower())])
    result = stages.dedup("in")
    assert [item.id for item in stages.documents("dedup")] == ["test:0", "test:other"]
    assert result.balance.to_json() == {"read": 5, "kept": 2, "dropped": {"duplicate": 3}, "quarantined": {}}
    assert result.summary["duplicates"]["documents"] == 3


def test_the_first_input_wins_and_within_it_the_smallest_id(stages, document):
    stages.write("one", [document("c", TEXT)], shard="00000")
    stages.write("one", [document("b", TEXT), document("x", "unique")], shard="00001")
    stages.write("two", [document("a", TEXT)])
    stages.dedup("one", "two")
    assert [item.id for item in stages.documents("dedup")] == ["test:b", "test:x"]
    stages.dedup("two", "one", name="swapped")
    assert [item.id for item in stages.documents("swapped")] == ["test:a", "test:x"]


def test_bytes_do_not_depend_on_the_order_of_work(stages, document):
    for shard in range(4):
        stages.write("in", [document(f"{shard}-{number}", f"text {number % 7}") for number in range(20)], shard=f"0000{shard}")
    first = stages.dedup("in", name="first")
    stages.backwards = True
    assert stages.dedup("in", name="second").summary == first.summary
    assert stages.bytes("first") == stages.bytes("second")
    assert len(stages.documents("first")) == 7


def test_nothing_to_deduplicate_is_no_error(stages):
    (stages.root / "in").mkdir()
    assert stages.dedup("in").balance.read == 0
