"""Labels come back as they went in, and what is no label of a class is refused."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.tasks.classify import SeriesClassifier

Draw = Callable[..., tuple[list[np.ndarray], np.ndarray]]
MakeClassifier = Callable[..., SeriesClassifier]


@pytest.mark.parametrize(
    "values", [[3, 1], [True, False], ["b", "a"], [2.5, -1.0]], ids=["int", "bool", "str", "float"]
)
def test_labels_come_back_in_their_own_type(
    problem: Draw, classifier: MakeClassifier, values: list[Any]
) -> None:
    samples, labels = problem(20)
    own = np.array(values)[(labels == "early").astype(int)]
    if own.dtype.kind == "f":
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            classifier().fit(samples, own)
        return
    found = classifier(max_epochs=1).fit(samples, own)
    assert found.classes_.tolist() == sorted(values)
    assert found.predict(samples).dtype == own.dtype


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pd.Series([True, False] * 4, dtype="boolean"), [False, True]),
        (pd.Series([7, 3] * 4, dtype="Int64"), [3, 7]),
        (pd.Series([True, False] * 4, dtype=object), [False, True]),
        (pd.Series(["b", "a"] * 4, dtype="category"), ["a", "b"]),
        (pl.Series([True, False] * 4), [False, True]),
        (pl.Series(["b", "a"] * 4, dtype=pl.Categorical), ["a", "b"]),
    ],
)
def test_labels_of_a_column_come_back_in_their_own_type(
    problem: Draw, classifier: MakeClassifier, labels: Any, classes: list[Any]
) -> None:
    found = classifier(max_epochs=1).fit(problem(8)[0], labels).classes_.tolist()
    assert found == classes
    assert [type(one) for one in found] == [type(one) for one in classes]


@pytest.mark.parametrize(
    "missing",
    [
        ["a", float("nan")] * 4,
        ["a", pd.NA] * 4,
        pd.Series(["a", None] * 4, dtype="string"),
        pd.Series(["a", None] * 4),
        pd.Series([1, None] * 4, dtype="Int64"),
        pd.Series([True, None] * 4, dtype="boolean"),
        pl.Series([1, None] * 4),
        np.array([1.0, np.nan] * 4),
        [1, float("nan")] * 4,
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_a_missing_label_is_no_class(
    problem: Draw, classifier: MakeClassifier, missing: Any
) -> None:
    with pytest.raises(DataError, match="a label for every sample, got none for 4 samples; drop"):
        classifier().fit(problem(8)[0], missing)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", 1] * 4, "labels of one kind, got such as 'a' and 1; cast them"),
        (np.array([1, "a"] * 4, object), "labels of one kind, got such as 1 and 'a'; cast them"),
        ([Decimal(1), Decimal(2)] * 4, "text or numbers, got such as Decimal.*; cast them"),
        ([b"a", b"b"] * 4, "text or numbers, got such as b'a'; cast them"),
    ],
)
def test_labels_that_are_no_names_of_classes_are_refused(
    problem: Draw, classifier: MakeClassifier, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        classifier().fit(problem(8)[0], labels)
