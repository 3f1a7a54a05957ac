"""An exported file is run where nobody can look inside: it must forecast what torch does."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tsfm import cli
from tsfm.errors import CheckpointError, UnsupportedError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.models.roll_out import roll_out
from tsfm.models.timer import Timer, TimerConfig
from tsfm.models.tst import Tst, TstConfig
from tsfm.tasks.forecast import Forecaster

NEEDED = ("onnx", "onnxruntime", "onnxscript")
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED), reason="needs the extra onnx"
)


def _tiny(**options: object) -> TimeSeriesModel:
    config = TimerConfig(d_model=16, n_heads=2, n_layers=1, d_ff=32, n_output_patches=2, **options)
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in backbone.parameters():  # projections that start at zero say nothing
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator()))
    return TimeSeriesModel("timer", backbone.eval(), 160, Provenance(trained_on=("ETTh1",)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[TimeSeriesModel, Path]:
    """A tiny forecaster and its export, made by the command line."""
    import jaxtyping

    folder = tmp_path_factory.mktemp("export")
    save_pretrained(_tiny(seasons=True), folder / "checkpoint")
    # Shapes are symbols while a graph is traced, and checks of shapes would pin them.
    was_off = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        arguments = ["export", str(folder / "checkpoint"), "--output", str(folder / "onnx")]
        assert cli.main(arguments) == 0
    finally:
        jaxtyping.config.update("jaxtyping_disable", was_off)
    return load_pretrained(folder / "checkpoint"), folder / "onnx"


@pytest.mark.slow  # the exporter alone takes longer than ten seconds
@needs_onnx
def test_the_folder_says_what_it_holds(exported: tuple[TimeSeriesModel, Path]) -> None:
    settings = json.loads((exported[1] / "export.json").read_text())
    assert (settings["patch_length"], settings["horizon"]) == (16, 32)
    assert settings["quantile_levels"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert settings["trained_on"] == ["ETTh1"]
    assert settings["largest_difference"] <= 1e-4
    report = json.loads((exported[1] / "report.json").read_text())
    assert report["bytes"] == (exported[1] / "model.onnx").stat().st_size
    names = {path.name for path in exported[1].iterdir()}
    assert names == {"model.onnx", "export.json", "report.json", "README.md"}


@pytest.mark.slow  # the exporter alone takes longer than ten seconds
@needs_onnx
@pytest.mark.parametrize(("n_items", "length"), [(1, 3), (2, 100), (5, 160), (3, 400)])
def test_onnx_runtime_forecasts_what_torch_does(
    exported: tuple[TimeSeriesModel, Path],
    n_items: int,
    length: int,
    generator: np.random.Generator,
) -> None:
    from tsfm.export import load_onnx

    model, folder = exported
    values = np.cumsum(generator.standard_normal(n_items * length))
    values[1::7] = np.nan
    frame = pl.DataFrame(
        {
            "item_id": np.repeat(np.arange(n_items), length),
            "timestamp": np.tile(np.arange(length), n_items),
            "target": values,
        }
    )
    expected = Forecaster(model).predict(frame, prediction_length=70)
    found = load_onnx(folder).predict(frame, prediction_length=70)
    assert found.columns == expected.columns
    numbers = [name for name in found.columns if name[0] in "p0"]
    np.testing.assert_allclose(
        found.select(numbers), expected.select(numbers), rtol=1e-4, atol=1e-4 * np.nanstd(values)
    )


@pytest.mark.slow  # the exporter alone takes longer than ten seconds
@needs_onnx
def test_the_guide_runs_and_gives_the_forecast_of_the_model(
    exported: tuple[TimeSeriesModel, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = exported
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(folder)
    names: dict[str, np.ndarray] = {}
    exec(code, {}, names)
    history = names["history"][-160:]
    scaled = torch.from_numpy((history - history.mean()) / history.std()).float()[None, :, None]
    seen = torch.ones_like(scaled, dtype=torch.bool)
    expected = roll_out(model, scaled, seen, seen[..., 0], prediction_length=96)[0, ..., 0].detach()
    expected = expected.double().numpy() * history.std() + history.mean()
    np.testing.assert_allclose(names["forecast"], expected, atol=1e-4)


def test_models_that_do_not_forecast_quantiles_are_refused(tmp_path: Path) -> None:
    from tsfm.export import export_onnx

    encoder = Tst(TstConfig(n_channels=2, context_length=16, d_model=8, n_heads=2, n_layers=1))
    with pytest.raises(UnsupportedError, match="got 'tst' that does not forecast; export a forec"):
        export_onnx(TimeSeriesModel("tst", encoder, 16, Provenance()), tmp_path / "out")
    with pytest.raises(UnsupportedError, match="got 'timer' without quantile levels"):
        export_onnx(_tiny(quantile_levels=()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tsfm import export

    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"pip install 'tsfm-kit\[onnx\]'"):
        export.export_onnx(_tiny(), tmp_path)


@needs_onnx
def test_a_folder_that_is_no_export_is_refused(tmp_path: Path) -> None:
    from tsfm.export import load_onnx

    with pytest.raises(CheckpointError, match=r"must have a readable export\.json"):
        load_onnx(tmp_path)
    (tmp_path / "export.json").write_text('{"format": 9}')
    with pytest.raises(CheckpointError, match="export format must be 1, got 9"):
        load_onnx(tmp_path)
