"""Classification from recipe to report: test samples decide nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import tsfm
from tsfm.config import load_recipe
from tsfm.errors import DataError
from tsfm.evaluation import classification
from tsfm.evaluation.classification import check_samples, logistic_head, published_rows
from tsfm.jobs import evaluate
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.series.samples import SampleSet
from tsfm.tracking import ListTracker

CARD = "ucr_classification"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bumps early or late, under the names of two sets of the archive; the first class is rarer."""
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    write(tmp_path)
    return tmp_path


def write(folder: Path, *, test_seed: int = 0) -> None:
    parts = []
    for subset in ("GunPoint", "Coffee"):
        for split, count, seed in (("TRAIN", 30, 1), ("TEST", 20, 50 + test_seed)):
            generator = np.random.default_rng(seed)
            for number in range(count):
                values = 0.2 * generator.normal(size=24)
                is_early = number % 3 == 0
                place = 3 if is_early else 15
                values[place : place + 5] += 2
                columns = {
                    "series_id": f"{subset}|{split}|{number:03}",
                    "timestamp": np.arange(24),
                    "target": values.astype(np.float32),
                    "dataset": subset,
                    "split": split,
                    "label": "early" if is_early else "late",
                }
                parts.append(pl.DataFrame(columns))
    pl.concat(parts).write_parquet(folder / f"{CARD}.parquet")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    backbone = Timer(TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=16))
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    whole = TimeSeriesModel("timer", backbone, 64, Provenance())
    return save_pretrained(whole, tmp_path / "toy-model")


def run(model: Path, output: Path, *overrides: str):
    own = [
        f"evaluate.models={json.dumps([str(model)])}",
        f'evaluate.datasets=["{CARD}/GunPoint", "{CARD}/Coffee"]',
        "evaluate.lengths=[16]",
        "run.device=cpu",
        *overrides,
    ]
    recipe = load_recipe("classification", own)
    return evaluate.run(recipe, output=output, tracker=ListTracker())


def test_classification_from_recipe_to_report(data: Path, model: Path, tmp_path: Path):
    report = run(model, tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet")
    ours = rows.filter(model="toy-model")
    assert ours["accuracy"].min() > 0.8
    assert (ours["seconds"] > 0).all()
    assert rows.filter(model="majority")["accuracy"].to_list() == pytest.approx([13 / 20] * 2)
    published = rows.filter(model="1-NN DTW, learned window")
    assert published["accuracy"].to_list() == [0.9133, 1.0]
    assert "the bar is" in report["message"]
    assert "| mean" in report["message"]


def test_neighbours_are_those_of_the_embeddings_of_the_samples(
    data: Path, model: Path, tmp_path: Path
):
    run(model, tmp_path / "out", f'evaluate.datasets=["{CARD}/GunPoint"]')
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet")
    (found,) = rows.filter(model="toy-model, 1-NN of embeddings")["accuracy"]
    columns = pl.col("series_id", "timestamp", "target")
    frame = pl.read_parquet(data / f"{CARD}.parquet").filter(dataset="GunPoint")
    vectors = tsfm.embed(frame.select(columns), model=model, id_column="series_id", freq="step")
    labels = frame.unique("series_id", maintain_order=True).select("series_id", "split", "label")
    both = vectors.join(labels, on="series_id")
    train, test = both.filter(split="TRAIN"), both.filter(split="TEST")
    numbers = pl.selectors.starts_with("e")
    apart = test.select(numbers).to_numpy()[:, None] - train.select(numbers).to_numpy()
    nearest = train["label"].to_numpy()[(apart**2).sum(2).argmin(1)]
    assert found == pytest.approx((nearest == test["label"].to_numpy()).mean())


def test_one_set_has_no_spread(data: Path, model: Path, tmp_path: Path):
    report = run(model, tmp_path / "out", f'evaluate.datasets=["{CARD}/GunPoint"]')
    assert ", 1 set " in report["message"]
    assert "±" not in report["message"]


def test_without_published_rows_nothing_is_compared(data: Path, model: Path, tmp_path: Path):
    report = run(model, tmp_path / "out", "evaluate.published=[]")
    assert "| mean" in report["message"]
    assert "seconds for 2 sets:" not in report["message"]


def test_a_published_file_beside_the_data_is_read_too(data: Path):
    (data / "published").mkdir()
    lines = [
        "dataset,classifier,metric,default_split,mean_over_resamples,resamples",
        "GunPoint,InceptionTime,accuracy,0.99,0.98,30",
    ]
    (data / "published" / "ucr_uea_accuracy.csv").write_text("\n".join(lines) + "\n")
    found = published_rows(f"{CARD}/GunPoint", ("InceptionTime", "1-NN DTW", "nobody"))
    assert [(row["model"], row["accuracy"]) for row in found] == [
        ("InceptionTime", 0.99),
        ("1-NN DTW", 0.9067),
    ]


def test_choices_on_training_samples_never_meet_a_test_sample(
    data: Path, model: Path, tmp_path: Path
):
    run(model, tmp_path / "a", 'evaluate.part="train"')
    write(data, test_seed=9)
    run(model, tmp_path / "b", 'evaluate.part="train"')
    first, second = (
        pl.read_parquet(tmp_path / name / "results.parquet").drop("seconds") for name in "ab"
    )
    assert first.equals(second)
    assert first["n_scored"].to_list() == [30] * len(first)
    assert "published" not in set(first["label"])


def test_a_tst_is_trained_on_the_sets_that_are_named(data: Path, model: Path, tmp_path: Path):
    run(model, tmp_path / "out", f'evaluate.fine_tuned=["{CARD}/Coffee"]', "evaluate.steps=6")
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert rows.filter(model="tst, fine-tuned")["dataset"].to_list() == [f"{CARD}/Coffee"]


@pytest.mark.parametrize(
    ("labels", "is_train", "part", "said"),
    [
        (["a", "b", "a"], [True, True, True], "test", "and test samples, got 3 and 0; mark some"),
        (["a", "b", "a"], [False, False, False], "train", "test samples, got 0 and 3"),
        ([0.25, 1.5, 2.0], [True, True, False], "test", "must be classes, got numbers .* 0.25;"),
        (["a", "a", "b"], [True, True, False], "test", "two classes to learn, got a alone"),
    ],
)
def test_a_set_with_nothing_to_learn_or_to_score_is_refused(labels, is_train, part, said):
    samples = SampleSet.from_arrays(np.zeros((3, 4)), labels)
    with pytest.raises(DataError, match=said):
        check_samples("made", replace(samples, is_train=np.array(is_train)), part)


def test_the_head_chooses_its_penalty_where_every_class_has_two_samples(generator):
    features = generator.normal(size=(30, 50))
    labels = np.where(features[:, 0] > 0, "a", "b")
    head = logistic_head(labels, 0).fit(features, labels)
    assert head[-1].best_params_["C"] in classification.PENALTIES
    rare = labels.copy()
    rare[0] = "only one"
    assert set(logistic_head(rare, 0).fit(features, rare).predict(features)) <= set(rare)


def test_a_class_of_one_sample_cannot_be_cross_validated(generator):
    samples = SampleSet.from_arrays(generator.normal(size=(5, 8)), ["a", "a", "b", "b", "c"])
    arm = classification.Arm("baseline", lambda part: np.zeros((len(part), 1)), lambda _: None)
    with pytest.raises(
        DataError, match=r"every class must have 2 training samples .* got 1; score"
    ):
        classification.held(arm, samples, 0)
