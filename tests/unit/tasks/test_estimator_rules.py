"""Classifier and regressor keep the rules of scikit-learn, or say which they do not."""

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from tsfm.tasks.classify import SeriesClassifier, SeriesRegressor

# Checks of scikit-learn that ask for what is meant otherwise here.
OTHERWISE = {
    "check_n_features_in_after_fitting": "samples may be longer or shorter than in fit",
    "check_n_features_in": "samples may be longer or shorter than in fit",
    "check_classifiers_train": "samples may be longer or shorter than in fit",
    "check_estimators_empty_data_messages": "the message speaks of steps, not of features",
    "check_dtype_object": "the error is a DataError, which is a ValueError, not a TypeError",
    "check_classifier_data_not_an_array": "a frame is long, one row per step",
    "check_regressor_data_not_an_array": "a frame is long, one row per step",
    "check_array_api_input": "torch has the arrays",
    "check_do_not_raise_errors_in_init_or_set_params": "in these tests types are checked",
}
QUICK = {
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimators_unfitted",
    "check_dict_unchanged",
    "check_methods_subset_invariance",
    "check_methods_sample_order_invariance",
    "check_fit2d_1sample",
    "check_fit1d",
    "check_complex_data",
    "check_estimator_sparse_array",
    "check_requires_y_none",
}
CHECKED = {
    "d_model": 8,
    "n_heads": 2,
    "n_layers": 1,
    "d_ff": 16,
    "learning_rate": 0.01,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
    "dropout": 0.0,
    "validation_share": 0.0,
    "max_epochs": 12,
    "kernel_length": 1,
}


def checks(*, quick: bool) -> list[Any]:
    found = []
    for kind in (SeriesClassifier, SeriesRegressor):
        for estimator, check in estimator_checks_generator(kind(**CHECKED), mark=None):
            name = check.func.__name__
            if name not in OTHERWISE and (name in QUICK) == quick:
                label = f"{kind.__name__}-{name}"
                found.append(pytest.param(estimator, check, id=f"{label}-{len(found)}"))
    return found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize(("estimator", "check"), checks(quick=True))
def test_it_keeps_the_rules_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), checks(quick=False))
def test_it_keeps_the_other_rules_too(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
