from medglot.kernels.folding import CODE_POINTS, OWN_WORD, fold_character, fold_table, is_word, letter_table, word_table


def test_the_tables_hold_what_the_functions_say_for_every_code_point():
    folded, words = fold_table(), word_table()
    for code in range(CODE_POINTS):
        assert folded[code] == ord(fold_character(chr(code)))
        assert words[code] == is_word(chr(code))


def test_folding_ignores_case_width_and_the_dots_of_russian_yo():
    assert "".join(map(fold_character, "ＡＢＣ Ёлка Ж ｶ ⅷ")) == "abc елка ж カ ⅷ"


def test_folding_keeps_accents_and_never_changes_the_number_of_characters():
    assert "".join(map(fold_character, "Fièvre ﬁ İ ß ㎎")) == "fièvre ﬁ İ ß ㎎"


def test_a_letter_is_its_base_letter_where_wording_is_compared():
    letters = letter_table()
    assert letters[ord("É")] == letters[ord("e")] == ord("e")
    assert letters[0x301] == 1
    assert letters[ord(",")] == letters[ord("。")] == 0
    assert letters[ord("症")] == ord("症") | OWN_WORD
    assert letters[ord("ガ")] == letters[ord("カ")] == letters[ord("ｶ")]
