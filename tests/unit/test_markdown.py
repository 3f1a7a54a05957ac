"""Tables are read in a terminal as often as rendered, so columns must line up."""

import pytest

from tsfm.markdown import markdown_table


def test_numbers_are_right_aligned_and_text_left():
    lines = markdown_table(["a", "n", "t"], [["x", "1.5", "yes"], ["longer", "", "n"]]).splitlines()
    assert lines == [
        "| a      |   n | t   |",
        "| :----- | --: | :-- |",
        "| x      | 1.5 | yes |",
        "| longer |     | n   |",
    ]


def test_a_short_row_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        markdown_table(["a", "b"], [["1"]])
