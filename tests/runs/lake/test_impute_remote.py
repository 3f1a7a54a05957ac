"""The same job over addresses and on Ray: the same bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow.fs import S3FileSystem

import tsfm.mlflow as flavor
from tsfm.errors import ConfigError, DataError
from tsfm.jobs import impute
from tsfm.lake import store
from tsfm.mlflow_store import import_mlflow
from tsfm.tasks.impute import Imputer
from tsfm.tracking import ListTracker


def run(*inputs: Path | str, **options: Any) -> dict[str, Any]:
    return impute.run(inputs, **{"output": "out", "tracker": ListTracker(), **options})


def content(folder: Path | str) -> dict[str, bytes]:
    files = sorted(Path(folder).rglob("*.parquet"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on loopback that speaks S3, and the environment that leads there."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield f"http://{host}:{port}"
    running.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_bucket_comes_back_as_a_folder_does(by_year, server):
    run(by_year)
    maker = S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True)
    maker.create_dir("lake")
    for file in by_year.rglob("*.parquet"):
        store.write(f"s3://lake/prices/{file.relative_to(by_year).as_posix()}", file.read_bytes())
    report = run("s3://lake/prices/**/*.parquet", output="s3://lake/filled", verify=True)
    assert report["verified"] == 4
    names = [name for name in store.list_below("s3://lake/filled") if name.endswith(".parquet")]
    found = {name: store.read(store.join("s3://lake/filled", name)) for name in names}
    assert found == content("out")
    again = run("s3://lake/prices", output="s3://lake/filled")
    assert again["message"].startswith("nothing to do")
    store.write("s3://lake/prices/_delta_log/1.parquet", b"not for us")
    for _ in range(2):
        below = run("s3://lake/prices", output="s3://lake/prices/filled")
        assert len(below["files"]) == 4
    for name in store.list_below("s3://lake/prices/filled"):
        store.remove(store.join("s3://lake/prices/filled", name))
    run("s3://lake/prices", output="local")
    assert content("local") == content("out")
    with pytest.raises(DataError, match="s3://lake/none must name Parquet files, got nothing"):
        run("s3://lake/none")
    with pytest.raises(ConfigError, match="output must be another folder"):
        run("s3://lake/prices", output="s3://lake/prices")


def test_an_address_of_no_known_kind_is_refused():
    with pytest.raises(ConfigError, match="an address must be of a known kind such as s3://"):
        run("carrier-pigeon://lake/prices")


def test_a_filesystem_that_only_fsspec_knows(make_series):
    fsspec = pytest.importorskip("fsspec")
    pq.write_table(make_series(2, 40), "in.parquet")
    fsspec.filesystem("memory").pipe("/lake/in.parquet", Path("in.parquet").read_bytes())
    run("in.parquet")
    run("memory://lake", output="again")
    assert content("again") == content("out")


def test_a_registered_model_is_named_by_its_alias_and_recorded_by_its_version(
    make_series, tmp_path, tracking_uri
):
    pq.write_table(make_series(2, 40), tmp_path / "in.parquet")
    flavor.log_model(
        Imputer.from_pretrained("tsfm-fill"), name="model", registered_model_name="filling"
    )
    client = import_mlflow().MlflowClient(tracking_uri)
    client.set_registered_model_alias("filling", "champion", "1")
    options = {"model": "models:/filling@champion", "tracker": None}
    report = run(tmp_path / "in.parquet", output=tmp_path / "named", **options)
    run(tmp_path / "in.parquet", output=tmp_path / "bundled")
    assert content(tmp_path / "named") == content(tmp_path / "bundled")
    assert report["model_version"] == "1"
    recorded = client.get_run(report["run_id"])
    assert recorded.data.params["model_version"] == "1"
    assert recorded.data.metrics["rows"] == 80
    assert {one.dataset.name for one in recorded.inputs.dataset_inputs} == {
        "impute_input",
        "impute_output",
    }
    assert [one.path for one in client.list_artifacts(report["run_id"])] == ["report.json"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_that_loses_a_node_writes_the_same_bytes(make_series, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        table = make_series(8, 200, seed=number)
        names = [f"{number} {name}" for name in table.column("item_id").to_pylist()]
        pq.write_table(
            table.set_column(0, "item_id", [names]), folder / f"part-{number:02d}.parquet"
        )
    run(folder)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        tracker = _LosesNode(cluster, second)
        report = run(folder, output="again", engine="ray", address=cluster.address, tracker=tracker)
        assert tracker.is_lost
        assert not report["failed"]
        assert content("again") == content("out")
    finally:
        ray.shutdown()
        cluster.shutdown()


class _LosesNode(ListTracker):
    """Takes a node away once the third part is recorded."""

    def __init__(self, cluster: Any, node: Any) -> None:
        super().__init__()
        self.cluster, self.node, self.is_lost = cluster, node, False

    def log(self, step: int, metrics: dict[str, float]) -> None:
        super().log(step, metrics)
        if step == 3 and not self.is_lost:
            self.is_lost = True
            self.cluster.remove_node(self.node, allow_graceful=False)
