"""What is logged is served by somebody else: it must be the same model, without pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsfm
import tsfm.mlflow as flavor
from tsfm.errors import CheckpointError, DataError, UnsupportedError
from tsfm.mlflow_store import import_mlflow
from tsfm.stocks.cross_sections import SectionConfig
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.fitting import RankerConfig
from tsfm.stocks.phases import PhaseConfig
from tsfm.stocks.ranker import StockRanker
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.split import SplitConfig
from tsfm.tasks.classify import SeriesClassifier
from tsfm.tasks.detect import Detector
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.embed import Embedder
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.imputation.rows import StaysMissingWarning
from tsfm.tasks.impute import Imputer
from tsfm.tracking import NoTracker, default_tracker

mlflow: Any = import_mlflow()


@pytest.fixture
def frame() -> pd.DataFrame:
    step = np.arange(60)
    target = np.sin(step / 3) + step / 50
    return pd.DataFrame({"item_id": "one", "timestamp": step, "target": target})


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small")


def test_a_saved_forecaster_is_the_same_and_has_no_pickle(
    forecaster: Forecaster, frame: pd.DataFrame, tmp_path: Path
) -> None:
    flavor.save_model(forecaster, tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    assert {"MLmodel", "config.json", "model.safetensors"} <= names
    assert not any(name.endswith((".pkl", ".pickle", ".pt", ".bin")) for name in names)
    loaded = flavor.load_model(tmp_path / "saved")
    assert isinstance(loaded, Forecaster)
    pd.testing.assert_frame_equal(
        loaded.predict(frame, prediction_length=3), forecaster.predict(frame, prediction_length=3)
    )


def test_pyfunc_predicts_with_parameters_and_with_their_defaults(
    forecaster: Forecaster, frame: pd.DataFrame, tmp_path: Path
) -> None:
    flavor.save_model(forecaster, tmp_path / "saved")
    served = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    asked = {"prediction_length": 5, "quantile_levels": [0.1, 0.9]}
    found = served.predict(frame, params=asked)
    pd.testing.assert_frame_equal(
        found, forecaster.predict(frame, prediction_length=5, quantile_levels=[0.1, 0.9])
    )
    assert len(served.predict(frame)) == 24
    assert len(served.predict(frame, params={"prediction_length": None})) == 24
    renamed = frame.rename(columns={"target": "load"})
    named = served.predict(renamed, params={**asked, "target": ["load"]})
    np.testing.assert_array_equal(named["predictions"], found["predictions"])


def test_a_served_imputer_takes_the_words_of_impute(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.loc[[9, *range(20, 25)], "target"] = np.nan
    imputer = Imputer.from_pretrained("tsfm-small")
    flavor.save_model(imputer, tmp_path / "saved")
    served = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    pd.testing.assert_frame_equal(served.predict(frame), imputer.impute(frame))
    options: dict[str, Any] = {"max_gap": 1, "mode": "causal", "quantile_levels": [0.1]}
    with pytest.warns(StaysMissingWarning):
        found = served.predict(frame, params=options)
    with pytest.warns(StaysMissingWarning):
        pd.testing.assert_frame_equal(found, imputer.impute(frame, **options))
    assert found["target"].isna().sum() == 4
    assert "target_0.1" in found
    with pytest.raises(mlflow.exceptions.MlflowException, match="mode must be one of"):
        served.predict(frame, params={"mode": "sideways"})


def test_bad_input_is_answered_in_one_line_and_without_a_trace(
    forecaster: Forecaster, frame: pd.DataFrame, tmp_path: Path
) -> None:
    flavor.save_model(forecaster, tmp_path / "saved")
    served = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    twice = pd.concat([frame, frame.tail(1)])
    with pytest.raises(DataError) as told:
        forecaster.predict(twice, prediction_length=24)
    with pytest.raises(mlflow.exceptions.MlflowException) as found:
        served.predict(twice)
    assert str(found.value) == str(told.value)
    assert found.value.get_http_status_code() == 400
    assert "Traceback" not in found.value.serialize_as_json()
    with pytest.raises(mlflow.exceptions.MlflowException, match="prediction_length must be"):
        served.predict(frame, params={"prediction_length": 0})


def test_rows_and_columns_are_answered_as_a_frame_is(
    forecaster: Forecaster, frame: pd.DataFrame, tmp_path: Path
) -> None:
    from mlflow.pyfunc import scoring_server

    flavor.save_model(forecaster, tmp_path / "saved")
    served = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    asked = {"prediction_length": 2, "quantile_levels": [0.5]}
    table = frame.assign(target=frame["target"].where(frame.index != 7)).astype(object)
    table = table.where(table.notna(), None)
    expected = served.predict(table, params=asked)
    rows, columns = table.to_dict("records"), table.to_dict("list")
    for given in (rows, columns):
        pd.testing.assert_frame_equal(served.predict(given, params=asked), expected)
    for body in ({"inputs": columns}, {"inputs": rows}, {"instances": rows}):
        text = json.dumps({**body, "params": asked})
        answer = scoring_server.invocations(text, "application/json", served, None)
        found = [row["predictions"] for row in json.loads(answer.response)["predictions"]]
        assert found == expected["predictions"].to_list()
    with pytest.raises(mlflow.exceptions.MlflowException, match="columns must be of one length"):
        served.predict({**columns, "target": [1.0]}, params=asked)


def test_the_server_answers_json_where_a_number_is_missing(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.pyfunc import scoring_server

    flavor.save_model(Detector.from_pretrained("tsfm-small"), tmp_path / "saved")
    served = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    expected = served.predict(frame)["anomaly_score"]
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    scoring_server.init(served)
    body = json.dumps({"dataframe_split": frame.to_dict(orient="split", index=False)})
    answer = scoring_server.invocations(body, "application/json", served, None)
    rows = json.loads(answer.response, parse_constant=pytest.fail)["predictions"]
    assert [row["anomaly_score"] for row in rows] == [
        None if np.isnan(score) else score for score in expected
    ]


def test_a_registered_model_is_found_by_its_alias(
    forecaster: Forecaster, frame: pd.DataFrame, tracking_uri: str
) -> None:
    info = flavor.log_model(forecaster, name="model", registered_model_name="flavored")
    client = mlflow.MlflowClient(tracking_uri)
    client.set_registered_model_alias("flavored", "champion", info.registered_model_version)
    expected = forecaster.predict(frame, prediction_length=4)
    asked = {"prediction_length": 4}
    served = mlflow.pyfunc.load_model("models:/flavored@champion")
    pd.testing.assert_frame_equal(served.predict(frame, params=asked), expected)
    for loaded in (
        flavor.load_model("models:/flavored@champion"),
        flavor.load_model(info.model_uri),
        Forecaster.from_pretrained("models:/flavored@champion"),
    ):
        pd.testing.assert_frame_equal(loaded.predict(frame, prediction_length=4), expected)


def test_a_registered_detector_keeps_its_threshold(frame: pd.DataFrame, tracking_uri: str) -> None:
    rule = ScoreRule(smoothing=3)
    detector = Detector(Forecaster.from_pretrained("tsfm-small").model, rule=rule)
    fitted = detector.fit_threshold(frame, method="quantile")
    flavor.log_model(fitted, registered_model_name="alarms")
    loaded = Detector.from_pretrained("models:/alarms/1")
    assert (loaded.threshold, loaded.rule) == (fitted.threshold, rule)
    served = mlflow.pyfunc.load_model("models:/alarms/1").predict(frame)
    pd.testing.assert_frame_equal(tsfm.detect(frame, model="models:/alarms/1"), served)


def test_other_kinds_keep_their_class(frame: pd.DataFrame, tmp_path: Path) -> None:
    flavor.save_model(Embedder.from_pretrained("tsfm-small"), tmp_path / "embedder")
    assert isinstance(flavor.load_model(tmp_path / "embedder"), Embedder)
    served = mlflow.pyfunc.load_model(str(tmp_path / "embedder"))
    assert list(served.predict(frame).columns[:2]) == ["item_id", "e0"]
    samples = np.random.default_rng(0).normal(size=(12, 16))
    classifier = SeriesClassifier(d_model=8, n_heads=1, n_layers=1, d_ff=8, max_epochs=1)
    classifier.fit(samples, ["a", "b"] * 6)
    flavor.save_model(classifier, tmp_path / "classifier")
    served = mlflow.pyfunc.load_model(str(tmp_path / "classifier"))
    assert served.predict(samples).tolist() == classifier.predict(samples).tolist()


def test_a_served_classifier_reads_the_columns_that_it_was_fitted_on(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "pump": np.repeat(np.arange(12), 16),
            "hour": np.tile(np.arange(16), 12),
            "bar": generator.normal(size=192),
            "rpm": generator.normal(size=192),
            "state": np.repeat(["worn", "new"] * 6, 16),
        }
    )
    columns = {"id_column": "pump", "timestamp_column": "hour", "target": ["bar", "rpm"]}
    sizes = {"d_model": 8, "n_heads": 1, "n_layers": 1, "d_ff": 8, "max_epochs": 1}
    classifier = SeriesClassifier(**sizes, **columns).fit(frame, "state")
    flavor.save_model(classifier, tmp_path / "classifier")
    served = mlflow.pyfunc.load_model(str(tmp_path / "classifier"))
    assert served.predict(frame).tolist() == classifier.predict(frame).tolist()


def test_a_ranker_is_registered_loaded_and_served(tracking_uri: str) -> None:
    panel = simulated_panel(SimulationConfig(n_stocks=5, n_days=40))
    config = RankerConfig(
        model={"d_model": 8, "d_ff": 8, "n_heads": 1},
        pretext={},
        windows=SectionConfig(context_length=6, features=FeatureConfig(averages=(3,))),
        finetune=PhaseConfig(epochs=0.2),
        validation_days=2,
    )
    split = SplitConfig(validation_start="2013-02-04", test_start="2013-02-14")
    ranker = StockRanker.fit(panel, split, config)
    flavor.log_model(ranker, name="ranker", registered_model_name="ranked")
    bars = pd.DataFrame(
        {
            "item_id": np.repeat(panel.stocks, panel.n_days),
            "timestamp": np.tile(panel.days, panel.n_stocks).astype("datetime64[s]"),
            **{name: panel[name].T.ravel() for name in panel.fields},
        }
    )
    expected = ranker.predict(panel)
    for loaded in (
        flavor.load_model("models:/ranked/1"),
        StockRanker.from_pretrained("models:/ranked/1"),
    ):
        assert isinstance(loaded, StockRanker)
        np.testing.assert_array_equal(loaded.predict(panel), expected)
    served = mlflow.pyfunc.load_model("models:/ranked/1")
    last = served.predict(bars, params={"n_days": 1})
    assert list(last.columns) == ["item_id", "timestamp", "score"]
    assert last["score"].is_monotonic_decreasing
    found = last.set_index("item_id")["score"].reindex(panel.stocks)
    np.testing.assert_array_equal(found, expected[-1])
    assert len(served.predict(bars)) == np.isfinite(expected).sum()


def test_what_is_no_model_of_ours_is_refused(tracking_uri: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"model must be one of .*'Forecaster'.* got dict"):
        flavor.save_model({}, tmp_path / "none")
    missing = r"model 'models:/absent@champion' must exist in the tracking store sqlite.*correct"
    with pytest.raises(CheckpointError, match=missing):
        flavor.load_model("models:/absent@champion")
    with pytest.raises(CheckpointError, match=r"that tsfm.mlflow wrote, got flavors \[\]; load"):
        flavor.load_model(tmp_path)


def test_looking_for_a_model_neither_waits_nor_makes_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: False)
    with pytest.raises(CheckpointError, match=r"sqlite:///mlflow\.db, got: there is no such file"):
        flavor.load_model("models:/loads@champion")
    assert list(tmp_path.iterdir()) == []


def test_autolog_records_fine_tuning_until_it_is_disabled(
    forecaster: Forecaster, frame: pd.DataFrame, tracking_uri: str
) -> None:
    flavor.autolog(experiment="autologged")
    try:
        forecaster.finetune(frame, mode="head", steps=2)
    finally:
        flavor.autolog(disable=True)
    assert isinstance(default_tracker(), NoTracker)
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("autologged")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["mode"] == "head"
    assert "train/loss" in run.data.metrics


def test_autolog_inside_an_active_run_is_a_run_below_it(
    forecaster: Forecaster, frame: pd.DataFrame, tracking_uri: str
) -> None:
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.create_experiment("of the user")
    flavor.autolog()
    try:
        with mlflow.start_run(experiment_id=experiment) as outer:
            forecaster.finetune(frame, mode="head", steps=2)
    finally:
        flavor.autolog(disable=True)
    below = f"tags.`mlflow.parentRunId` = '{outer.info.run_id}'"
    (inner,) = client.search_runs([experiment], below)
    assert inner.data.params["mode"] == "head"
    assert inner.info.status == "FINISHED"
