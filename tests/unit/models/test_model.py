"""What travels with the weights decides whether a forecast may be called zero-shot."""

from collections.abc import Callable

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer


def test_a_model_speaks_for_its_backbone(make_timer: Callable[..., Timer]) -> None:
    provenance = Provenance(trained_on=("a", "b"))
    model = TimeSeriesModel("timer", make_timer(), 64, provenance)
    assert model.quantile_levels == (0.1, 0.5, 0.9)
    assert model.patch_length == 4
    assert model.trained_on == ("a", "b")
    assert model.context_length == 64


def test_weights_of_unknown_origin_claim_nothing() -> None:
    provenance = Provenance()
    assert provenance.trained_on == ()
    assert provenance.training_cutoff is None
    assert provenance.synthetic_share == 0.0
