"""What a run writes down must be read back as it was, or the run cannot be done again."""

import tomllib
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tsfm.toml_text import dump

VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dates(date(1, 1, 1)),
    st.lists(st.integers(0, 9)),
)


@given(st.dictionaries(st.text("aB.-é \"'", min_size=1), st.dictionaries(st.text("k_1="), VALUES)))
def test_what_is_dumped_reads_back_equal(sections: dict[str, dict[str, Any]]) -> None:
    assert tomllib.loads(dump(sections)) == sections


def test_dump_leaves_out_none_and_writes_nested_tables() -> None:
    sections = {"model": {"name": "timer", "none": None, "config": {"d_model": 8, "deep": {}}}}
    assert tomllib.loads(dump(sections)) == {
        "model": {"name": "timer", "config": {"d_model": 8, "deep": {}}}
    }
