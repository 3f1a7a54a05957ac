"""What a run did must be found again in the store, and a store in trouble must not end a run."""

from pathlib import Path

import pytest

from tsfm.errors import ConfigError
from tsfm.mlflow_store import import_mlflow
from tsfm.mlflow_tracker import MlflowTracker, TrackingConfig, TrackingWarning, flat, make_tracker
from tsfm.tracking import NoTracker


def test_parameters_metrics_data_and_files_are_found_again(
    tracking_uri: str, tmp_path: Path
) -> None:
    tracker = MlflowTracker(experiment="whole")
    tracker.start(
        "first",
        {
            "training": {"steps": 3, "note": "x" * 9000},
            "many": dict.fromkeys((f"key{number}" for number in range(150)), 1),
        },
    )
    for step in range(2500):
        tracker.log(step, {"train/loss": 1 / (step + 1)})
    tracker.log_input("el_nino", "abc", source="data/el_nino", context="training")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    (tmp_path / "report.json").write_text("{}")
    tracker.artifact(tmp_path / "checkpoint")
    tracker.artifact(tmp_path / "report.json")
    tracker.finish("FINISHED")

    client = import_mlflow().MlflowClient(tracking_uri)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.data.params["training.steps"] == "3"
    assert len(run.data.params) == 152
    assert len(run.data.params["training.note"]) == 6000
    history = client.get_metric_history(tracker.run_id, "train/loss")
    assert sorted(metric.step for metric in history) == list(range(2500))
    assert run.data.metrics["system/cpu_percent"] > 0
    assert run.data.tags["version.torch"]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("el_nino", "abc")
    assert data.tags[0].value == "training"
    names = {entry.path for entry in client.list_artifacts(tracker.run_id)}
    assert names == {"checkpoint", "report.json"}


def test_a_run_can_be_shown_under_another(tracking_uri: str) -> None:
    parent = make_tracker(TrackingConfig(tracking_uri=tracking_uri, experiment="nested"))
    parent.start("table", {})
    settings = TrackingConfig(tracking_uri=tracking_uri, experiment="nested", parent=parent.run_id)
    child = make_tracker(settings)
    child.start("row", {})
    child.finish("FINISHED")
    parent.finish("FINISHED")
    client = import_mlflow().MlflowClient(tracking_uri)
    assert client.get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


def test_a_run_that_was_stopped_goes_on_in_the_store(tracking_uri: str) -> None:
    first = MlflowTracker(experiment="resumed")
    first.start("run", {"steps": 2})
    first.log(1, {"train/loss": 1.0})
    first.finish("KILLED")
    second = MlflowTracker(experiment="resumed", run_id=first.run_id)
    second.start("run", {"steps": 2})
    second.log(2, {"train/loss": 0.5})
    second.finish("FINISHED")
    client = import_mlflow().MlflowClient(tracking_uri)
    assert client.get_run(first.run_id).info.status == "FINISHED"
    assert len(client.get_metric_history(first.run_id, "train/loss")) == 2


def test_a_run_or_an_experiment_that_was_deleted_is_named(tracking_uri: str) -> None:
    client = import_mlflow().MlflowClient(tracking_uri)
    first = MlflowTracker(experiment="deleted")
    first.start("run", {})
    client.delete_run(first.run_id)
    with pytest.raises(ConfigError, match=f"must be in its store to go on, got '{first.run_id}'"):
        MlflowTracker(experiment="deleted", run_id=first.run_id).start("run", {})
    found = client.get_experiment_by_name("deleted").experiment_id
    client.delete_experiment(found)
    with pytest.raises(ConfigError, match=f"got 'deleted' in .* restore --experiment-id {found}"):
        MlflowTracker(experiment="deleted").start("run", {})


def test_an_experiment_that_another_process_made_meanwhile_is_used(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_class = import_mlflow().MlflowClient
    made = client_class(tracking_uri).create_experiment("made meanwhile")
    look_up, answers = client_class.get_experiment_by_name, iter([None])
    monkeypatch.setattr(
        client_class,
        "get_experiment_by_name",
        lambda client, name: next(answers, look_up(client, name)),
    )
    tracker = MlflowTracker(experiment="made meanwhile")
    tracker.start("loser", {})
    tracker.finish("FINISHED")
    assert client_class(tracking_uri).get_run(tracker.run_id).info.experiment_id == made


def test_a_store_that_fails_later_warns_once_and_keeps_the_metrics(tracking_uri: str) -> None:
    tracker = MlflowTracker(experiment="broken")
    tracker.start("run", {})
    tracker.uri = "http://127.0.0.1:9"
    with pytest.warns(TrackingWarning, match="must take what is recorded.*the run goes on"):
        tracker.artifact(Path("a"))
    tracker.artifact(Path("b"))  # silent, or the warning would be an error
    tracker.uri = tracking_uri
    tracker.log(1, {"train/loss": 1.0})
    tracker.finish("FINISHED")
    run = import_mlflow().MlflowClient(tracking_uri).get_run(tracker.run_id)
    assert run.data.metrics["train/loss"] == 1.0


def test_a_tracker_that_was_not_started_says_so() -> None:
    with pytest.raises(ConfigError, match="must be started before it records"):
        MlflowTracker().artifact(Path("a"))


def test_the_environment_gives_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert MlflowTracker().uri == "sqlite:///other.db"
    assert MlflowTracker(tracking_uri="sqlite:///own.db").uri == "sqlite:///own.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert MlflowTracker().uri == "sqlite:///mlflow.db"


def test_tracking_can_be_switched_off() -> None:
    assert isinstance(make_tracker(TrackingConfig(enabled=False)), NoTracker)
    tracker = make_tracker(TrackingConfig(tracking_uri="sqlite:///a.db"), run_id="7")
    assert isinstance(tracker, MlflowTracker)
    assert (tracker.uri, tracker.run_id) == ("sqlite:///a.db", "7")


def test_a_metric_may_have_any_name(tracking_uri: str) -> None:
    tracker = MlflowTracker(tracking_uri=tracking_uri)
    tracker.start("names", {})
    tracker.log(0, {"S&P 500, 2017/gain 5%": 1.5, "größe*": 2.0})
    tracker.finish("FINISHED")
    client = import_mlflow().MlflowClient(tracking_uri)
    found = client.get_run(tracker.run_id).data.metrics
    assert found["S_P_500_2017/gain_5percent"] == 1.5
    assert found["gr__e_"] == 2.0


def test_nested_values_become_dotted_names() -> None:
    assert flat({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": "1", "d": "[1, 2]"}


def test_a_run_is_recorded_whatever_its_sections_are_called(tracking_uri: str) -> None:
    tracker = MlflowTracker(tracking_uri=tracking_uri)
    tracker.start("odd names", {"groups": {"S&P 500 (größe)": ["a"]}})
    tracker.finish("FINISHED")
    params = import_mlflow().MlflowClient(tracking_uri).get_run(tracker.run_id).data.params
    assert params == {"groups.S_P 500 _gr__e_": "['a']"}
