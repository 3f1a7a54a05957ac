"""What a recipe of a backtest says wrongly is told before anything is fitted or forgotten."""

import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs.backtest import sections


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("ranker.backbone=foo", r"backbone must be one of .* got 'foo'"),
        ("ranker.model.foo=3", r"ranker\.model must fit sspt: foo: Unexpected keyword argument"),
        ("ranker.model.n_heads=3", r"ranker\.model must fit sspt: d_model must be a multiple of"),
        ("ranker.pretext.foo=1", r"ranker\.pretext must name some of .* got \['foo'\]"),
        ("ranker.pretext_config.foo.a=1", r"ranker\.pretext_config must name some of .*'foo'"),
        (
            "ranker.pretext.stock_code=-1",
            r"pretext\.stock_code: input should be greater than or eq",
        ),
        ("ranker.pretext.stock_code=nan", r"pretext\.stock_code: input should be "),
        ("backtest.costs_bps=[inf]", r"costs_bps\.0: input should be a finite number, got inf"),
        ("backtest.borrow_bps=inf", r"borrow_bps: input should be a finite number, got inf"),
        ("backtest.delisting_return=inf", r"delisting_return: input should be a finite number"),
        ("backtest.costs_bps=[0,10,10]", r"costs_bps: values must differ, got .* with \[10\.0\]"),
        ("backtest.top_k=[5,5]", r"top_k: values must differ, got \[5, 5\] with \[5\]"),
        ("backtest.portfolios.a={volatility_days=1}", "volatility_days: one day has no volatility"),
    ],
)
def test_a_wrong_value_is_told_by_its_key(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sections(load_recipe("walk_forward", [assignment]))


def test_options_of_tasks_that_are_not_trained_may_stay() -> None:
    found = sections(
        load_recipe(
            "walk_forward",
            ["ranker.pretext={}", "ranker.pretext_config.moving_average.released=true"],
        )
    )
    assert found["ranker"].pretext == {}
