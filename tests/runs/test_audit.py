"""`tsfm audit` must find the leak that a recipe names, and nothing in the recipe that cures it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tsfm import cli
from tsfm.config import load_recipe
from tsfm.errors import DataError, UnsupportedError
from tsfm.jobs import audit, audit_overlap
from tsfm.series import cards
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import save_pool

STOCKS = (
    "panel.dataset=simulated",
    "panel.start=2013-01-01",
    "panel.end=2013-07-01",
    "panel.simulation={n_stocks=7,n_days=130}",
    "split.train_start=2013-03-25",
    "split.validation_start=2013-05-06",
    "split.test_start=2013-06-03",
    "ranker.windows.context_length=6",
    "ranker.model.d_model=8",
    "ranker.model.d_ff=8",
)


def audited(tmp_path: Path, name: str, *overrides: str, n_cutoffs: int = 8) -> dict[str, Any]:
    return audit.run(load_recipe(name, overrides), n_cutoffs=n_cutoffs, output=tmp_path)


def test_the_faithful_recipe_looks_ahead_by_its_maximum(tmp_path: Path) -> None:
    report = audited(tmp_path, "sspt_nasdaq_faithful", *STOCKS, f"run.output={tmp_path}/none")
    assert not report["ok"]
    assert report["leaking"] == ["features, whole_maximum", "scores, random weights"]
    assert report["wrong"] is None  # only said when asked to be strict
    leaks = pl.read_parquet(tmp_path / "leaks.parquet")
    closes = leaks.filter(pl.col("column") == "close")
    assert closes["first_affected"].to_list() == ["2013-01-01"]
    assert closes["size_in_ic"].is_finite().all()
    assert "scale of close" in leaks["column"].to_list()
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["ok"] is False
    text = (tmp_path / "audit.md").read_text()
    assert "LOOK-AHEAD: 30 columns moved" in text
    assert "24 more columns" in text
    assert "size in IC" in text


def test_the_corrected_recipe_does_not_look_ahead(tmp_path: Path) -> None:
    report = audited(tmp_path, "sspt_nasdaq_corrected", *STOCKS, f"run.output={tmp_path}/none")
    assert report["ok"], report["table"]
    assert [check["name"] for check in report["checks"]] == [
        "universe, trailing",
        "features, last_close",
        "labels of training",
        "labels of validation",
        "scores, random weights",
    ]
    assert "No leak: whatever came after" in report["message"]
    assert pl.read_parquet(tmp_path / "leaks.parquet").is_empty()


def test_a_universe_of_survivors_is_found(tmp_path: Path) -> None:
    rule = "ranker.windows.universe={rule='whole_period',min_share=0.9,min_price=5}"
    report = audited(tmp_path, "sspt_nasdaq_corrected", *STOCKS, rule)
    assert report["leaking"][0] == "universe, whole_period"
    rows = [row for row in report["leaks"] if row["part"].startswith("universe")]
    assert min(row["first_affected"] for row in rows) == "2013-01-01"


def test_what_pretraining_sees_of_stocks_is_audited(tmp_path: Path) -> None:
    simulation = "data.config.panel.simulation={n_stocks=6,n_days=800}"
    report = audited(tmp_path, "sspt_tiny", simulation, n_cutoffs=2)
    assert report["ok"], report["table"]
    assert len(report["checks"]) == 4


@pytest.mark.parametrize("name", ["timer_tiny", "gpht_tiny"])
def test_causal_statistics_pass_and_those_of_the_window_do_not(name: str, tmp_path: Path) -> None:
    report = audited(tmp_path, name)
    assert report["ok"], report["table"]
    assert [check["name"] for check in report["checks"]] == [
        "scale of the pool",
        "windows of training",
        "every patch of a window",
    ]
    published = audited(tmp_path, name, "model.config.normalization=window")
    assert published["leaking"] == ["every patch of a window"]
    assert {"location", "scale"} <= {row["column"] for row in published["leaks"]}


@pytest.fixture
def card_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cards of made sets: two benchmarks, and training data with a copy of one of them."""
    folder = tmp_path / "cards"
    monkeypatch.setattr(cards, "CARD_FOLDERS", (folder,))
    monkeypatch.delenv("TSFM_DATA", raising=False)
    walks = np.random.default_rng(0).normal(size=(8, 500)).cumsum(axis=1)
    make_card(folder, "copied", "benchmark", walks[:2])
    make_card(folder, "apart", "benchmark", walks[2:4])
    make_card(folder, "short", "benchmark", walks[4:5, :30])
    make_card(folder, "others", "pretrain", walks[5:7])
    make_card(folder, "leaky", "pretrain", np.stack([walks[7], 7 - 0.1 * walks[1]]))
    return folder


def test_items_at_other_times_are_audited_row_by_row(card_folder: Path, tmp_path: Path) -> None:
    file = card_folder / "copied" / "copied.parquet"
    later = pl.when(pl.col("item_id") == "copied1").then(1000).otherwise(0)
    frame = pl.read_parquet(file).with_columns(pl.col("timestamp") + later)
    frame.write_parquet(file)
    settings = ['evaluate.datasets=["copied"]', "evaluate.context_length=64"]
    report = audited(tmp_path, "ltsf", *settings, "evaluate.horizons=[16]")
    assert report["ok"], report["table"]
    frame.head(990).write_parquet(file)
    with pytest.raises(DataError, match=r"copied must be one series .*, got lengths \[490, 500\]"):
        audited(tmp_path, "ltsf", *settings)


def make_card(folder: Path, name: str, role: str, values: np.ndarray) -> None:
    (folder / name).mkdir(parents=True)
    stamps = np.arange(values.shape[1])
    pl.DataFrame(
        {
            "item_id": np.repeat([f"{name}{n}" for n in range(len(values))], len(stamps)),
            "timestamp": np.tile(stamps, len(values)),
            "target": values.ravel(),
        }
    ).write_parquet(folder / name / f"{name}.parquet")
    (folder / name / "card.toml").write_text(
        f'name = "{name}"\ntitle = "Made"\nrole = "{role}"\nsource = "made"\nlicence = "CC0"\n'
        f'sha256 = "0"\nfile = "{name}.parquet"\nformat = "parquet"\nitem_id = "item_id"\n'
        'timestamp = "timestamp"\nchannels = ["target"]\nfreq = "step"\n'
    )


def test_a_copy_of_a_benchmark_in_the_training_data_is_flagged(
    card_folder: Path, tmp_path: Path
) -> None:
    (card_folder / "away").mkdir()
    text = (card_folder / "others" / "card.toml").read_text()
    (card_folder / "away" / "card.toml").write_text(text.replace("others", "away"))
    report = audit_overlap.run(output=tmp_path / "out")
    assert report["flagged"] == ["copied in leaky"]
    (pair,) = report["pairs"]
    assert pair["share"] == pytest.approx(0.5, abs=0.05)
    assert (pair["n_series"], pair["n_whole"]) == (1, 1)
    assert pair["example"] == "copied1 = leaky1"
    by_name = {one["name"]: one for one in report["benchmarks"]}
    assert by_name["apart"]["share"] == 0.0
    assert by_name["short"]["share"] is None
    assert report["absent"] == ["away"]
    assert set(report["training"]) == {"others", "leaky"}
    text = (tmp_path / "out" / "overlap.md").read_text()
    assert "or most of a series, are in both: copied in leaky." in text
    assert "Not here, and not compared: away." in text
    assert len(pl.read_parquet(tmp_path / "out" / "overlap.parquet")) == 1
    assert json.loads((tmp_path / "out" / "report.json").read_text())["flagged"]


def test_one_copied_series_of_many_is_flagged(card_folder: Path, tmp_path: Path) -> None:
    walks = np.random.default_rng(1).normal(size=(200, 500)).cumsum(axis=1)
    make_card(card_folder, "large", "benchmark", walks)
    make_card(card_folder, "one", "pretrain", walks[77:78] + 3)
    report = audit_overlap.run(output=tmp_path / "out")
    assert report["flagged"] == ["copied in leaky", "large in one"]
    assert report["pairs"][1]["share"] < report["threshold"]


def test_a_pool_is_compared_set_by_set(card_folder: Path, tmp_path: Path) -> None:
    walks = np.random.default_rng(0).normal(size=(8, 500)).cumsum(axis=1)
    pool = SingleSeriesPool.from_series([walks[7], walks[3] * 50 + 9], name="mine")
    save_pool(pool, tmp_path / "pool")
    report = audit_overlap.run(str(tmp_path / "pool"), output=tmp_path / "out")
    assert report["flagged"] == ["apart in mine"]
    assert report["pairs"][0]["example"] == "apart1 = 1"


def test_without_overlap_nothing_is_flagged(card_folder: Path, tmp_path: Path) -> None:
    (card_folder / "leaky" / "card.toml").unlink()
    report = audit_overlap.run(output=tmp_path / "out")
    assert report["flagged"] == report["pairs"] == []
    assert "No training set has more than 1% of a benchmark's windows, or" in report["message"]


def test_a_revised_and_a_finer_copy_are_told_again(
    card_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    generator = np.random.default_rng(3)
    monthly = generator.normal(size=(3, 1440)).cumsum(axis=1)
    make_card(card_folder, "yearly", "benchmark", monthly.reshape(3, 120, 12).mean(2).round(1))
    card = card_folder / "yearly" / "card.toml"
    card.write_text(card.read_text() + "seasonality = 12\n")
    revised = monthly[2].reshape(120, 12).mean(1) * 2 + generator.normal(size=120) / 50
    make_card(card_folder, "finer", "pretrain", monthly[:1])
    make_card(card_folder, "again", "pretrain", np.stack([revised, revised[::-1]]))
    assert audit_overlap.run(output=tmp_path / "out")["near"] == []
    report = audit_overlap.run(near=["finer", "again", "others"], output=tmp_path / "out")
    found = {(one["item_id"], one["training_item_id"], one["rate"]) for one in report["near"]}
    assert found == {("yearly0", "finer0", 12.0), ("yearly2", "again0", 1.0)}
    text = (tmp_path / "out" / "overlap.md").read_text()
    assert "| yearly yearly0 | finer finer0 |   12 |" in text
    assert "Series of the benchmark: yearly 2 of 3." in text
    assert "reading yearly" in caplog.text
    caplog.clear()
    with pytest.raises(DataError, match="training sets that are here, got nowhere; leave"):
        audit_overlap.run(near=["nowhere"], output=tmp_path / "out")
    assert not caplog.text  # said before anything is read


def test_a_pool_apart_from_benchmarks_has_no_series_of_theirs(
    card_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ["data", "build", "leaky", "others", "--output", str(tmp_path / "pool")]
    assert cli.main([*build, "--apart-from", "benchmark"]) == 0
    assert SingleSeriesPool.open(tmp_path / "pool").item_ids == ("leaky0", "others0", "others1")
    report = json.loads((tmp_path / "pool" / "report.json").read_text())
    assert (report["dropped_shared"], report["apart_from"]) == (1, ["benchmark"])
    found = audit_overlap.run(str(tmp_path / "pool"), output=tmp_path / "out")
    assert found["pairs"] == []
    apart = ["data", "build", "leaky", "--output", str(tmp_path / "two")]
    assert cli.main([*apart, "--apart-from", "apart"]) == 0
    assert len(SingleSeriesPool.open(tmp_path / "two")) == 2
    file = card_folder / "copied" / "copied.parquet"
    assert cli.main([*apart[:-1], str(tmp_path / "one"), "--apart-from", f"apart,{file}"]) == 0
    assert SingleSeriesPool.open(tmp_path / "one").item_ids == ("leaky0",)
    assert cli.main([*apart[:-1], str(tmp_path / "three"), "--apart-from", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_without_files_there_is_nothing_to_compare(card_folder: Path, tmp_path: Path) -> None:
    for name in ("copied", "apart", "short"):
        (card_folder / name / f"{name}.parquet").unlink()
    with pytest.raises(DataError, match="benchmark must have its file here, got none of 3"):
        audit_overlap.run(output=tmp_path / "out")


def test_the_long_term_protocol_is_audited_channel_by_channel(
    card_folder: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(
        "ltsf",
        [
            "evaluate.datasets=['copied']",
            "evaluate.splits={}",
            "evaluate.horizons=[8]",
            "evaluate.context_length=32",
        ],
    )
    report = audit.run(recipe, n_cutoffs=5, output=tmp_path / "out")
    assert report["ok"], report["table"]
    assert [check["name"] for check in report["checks"]] == [
        "split and scale",
        "contexts of test windows",
    ]


def test_recipes_without_past_and_future_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="got the objective 'masked_values'"):
        audited(tmp_path, "tst_tiny")
    with pytest.raises(UnsupportedError, match="asks the protocol 'ltsf', got 'zero_shot'"):
        audited(tmp_path, "zero_shot")
    with pytest.raises(UnsupportedError, match="ltsf_finetune with the sections"):
        audited(tmp_path, "ltsf_finetune")


def test_strict_exits_with_one_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    window = ["--set", "model.config.normalization=window"]
    assert cli.main(["audit", "timer_tiny", "--strict"]) == 0
    capsys.readouterr()
    assert cli.main(["audit", "timer_tiny", "--strict", *window]) == 1
    out, err = capsys.readouterr()
    assert "LOOK-AHEAD" in out
    assert "tsfm: error: timer_tiny looks ahead in every patch of a window" in err
    assert (tmp_path / "runs" / "audit" / "timer_tiny" / "report.json").is_file()
