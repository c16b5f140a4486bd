import pathlib

import tally


def test_counts_the_most_frequent_first():
    assert tally.count_words("b a b c a b") == [("b", 3), ("a", 2), ("c", 1)]


def test_ignores_case_when_asked():
    assert tally.count_words("Tea tea TEA", ignore_case=True) == [("tea", 3)]


def test_prints_a_word_a_line(tmp_path, capsys):
    file = tmp_path / "text"
    file.write_text("x y x")
    assert tally.main([str(file)]) == 0
    assert capsys.readouterr().out == "      2 x\n      1 y\n"


def test_every_flag_is_documented():
    readme = pathlib.Path(__file__).with_name("README.md").read_text()
    for action in tally.build_parser()._actions:
        for flag in action.option_strings:
            if flag.startswith("--") and flag != "--help":
                assert f"`{flag}" in readme, flag
