"""A training run must survive whatever stops it: killed at any moment, it ends with the very loss.

The runs are real processes of the command line, since that is what gets killed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tsfm.config import load_recipe
from tsfm.errors import CheckpointError, ConfigError, NonFiniteLossError
from tsfm.jobs import pretrain
from tsfm.locks import locked
from tsfm.models.pretrained import load_pretrained
from tsfm.tracking import ListTracker

PATIENCE_SECONDS = 120
SHORT = ("training.steps=24", "training.save_every=4", "training.log_every=4")
UNTRACKED = ("tracking.enabled=false",)


def command(output: Path, *overrides: str) -> list[str]:
    settings = [f"run.output={output}", *SHORT, *UNTRACKED, *overrides]
    return ["-m", "tsfm", "pretrain", "timer_tiny", "--set", *settings]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def finished(arguments: Sequence[str], cwd: Path) -> None:
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def report_of(output: Path) -> dict[str, float]:
    report: dict[str, float] = json.loads((output / "report.json").read_text())
    return report


def run(output: Path, *overrides: str, tracker: ListTracker | None = None) -> dict[str, float]:
    recipe = load_recipe("timer_tiny", [f"run.output={output}", *SHORT, *overrides])
    return pretrain.run(recipe, tracker=tracker or ListTracker())


def steps_of(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_killed_at_a_random_step_ends_with_the_same_loss_to_the_bit(tmp_path: Path) -> None:
    # Like the other in a process with one thread: with two, sums end in other last bits.
    finished(command(tmp_path / "whole"), tmp_path)
    output = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, *command(output)], cwd=tmp_path, env=environment())
    log = output / "log.jsonl"
    wanted = random.Random().choice([1, 2, 3, 4])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not log.exists() or len(log.read_text().splitlines()) < wanted:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_SECONDS)
    assert not (output / "report.json").exists()
    finished(command(output), tmp_path)
    assert report_of(output)["loss"] == report_of(tmp_path / "whole")["loss"]
    assert steps_of(output) == steps_of(tmp_path / "whole")
    ours, theirs = (
        load_file(folder / "checkpoint" / "model.safetensors")
        for folder in (output, tmp_path / "whole")
    )
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_the_loss_falls_and_all_that_a_run_promises_is_there(tmp_path: Path) -> None:
    tracker = ListTracker()
    report = run(
        tmp_path,
        "training.steps=60",
        "training.validate_every=20",
        "optimizer.learning_rate=0.01",
        tracker=tracker,
    )
    losses = [
        content[1]["train/loss"]
        for event, content in tracker.events
        if event == "log" and "train/loss" in content[1]
    ]
    assert losses[-1] < 0.9 * losses[0]
    assert report["validation_loss"] > 0
    model = load_pretrained(tmp_path / "checkpoint")
    assert model.provenance.details["steps"] == 60
    assert model.provenance.synthetic_share == 1.0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 60
    assert [event for event, _ in tracker.events][-4:] == ["artifact"] * 3 + ["finish"]
    assert tracker.events[-1] == ("finish", "FINISHED")
    assert pretrain.sections(load_recipe(tmp_path / "config.toml"))["training"].steps == 60


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finished([*launcher, *command(tmp_path / "two")], tmp_path)
    report = report_of(tmp_path / "two")
    assert report["processes"] == 2
    assert report["points"] > 1.5 * run(tmp_path / "one")["points"]


def test_a_run_is_recorded_as_failed_when_its_loss_is(tmp_path: Path) -> None:
    tracker = ListTracker()
    with pytest.raises(NonFiniteLossError, match=r"at step \d+, items .*learning_rate"):
        run(
            tmp_path,
            "optimizer.learning_rate=1e30",
            "schedule.warmup_steps=1",
            tracker=tracker,
        )
    assert tracker.events[-1] == ("finish", "FAILED")
    assert not (tmp_path / "report.json").exists()


def test_two_runs_do_not_train_in_one_folder(tmp_path: Path) -> None:
    run(tmp_path, "training.steps=4")
    with (
        locked(tmp_path / "resume"),
        pytest.raises(ConfigError, match=r"no other run is training in, got .*; wait"),
    ):
        run(tmp_path, "training.steps=8")
    assert report_of(tmp_path)["steps"] == 4
    assert run(tmp_path, "training.steps=8")["steps"] == 8


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "training.steps=4")
    with pytest.raises(CheckpointError, match=r"must fit this run's model, got .*state\.pt"):
        run(tmp_path, "model.config.d_model=64")


def test_a_finished_run_that_is_asked_for_again_reports_the_same_loss(tmp_path: Path) -> None:
    first = run(tmp_path, "training.steps=4")
    again = run(tmp_path, "training.steps=4")
    assert again["loss"] == first["loss"] == report_of(tmp_path)["loss"]


@pytest.mark.parametrize("override", ["optimizer.learning_rate=0.5", "run.seed=7"])
def test_a_run_goes_on_with_what_it_learned_by_alone(tmp_path: Path, override: str) -> None:
    run(tmp_path, "training.steps=4")
    before = (tmp_path / "report.json").read_text()
    with pytest.raises(CheckpointError, match=rf"must go on as it began, got {override} and in .*"):
        run(tmp_path, "training.steps=4", override)
    assert (tmp_path / "report.json").read_text() == before


def test_a_finished_run_may_go_on_for_more_steps(tmp_path: Path) -> None:
    run(tmp_path, "training.steps=4")
    assert run(tmp_path, "training.steps=8", "training.log_every=2")["steps"] == 8


def test_a_run_that_has_gone_farther_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "training.steps=4")
    before = (tmp_path / "report.json").read_text()
    with pytest.raises(CheckpointError, match=r"steps must be at least the 4 that .* got 2;"):
        run(tmp_path, "training.steps=2")
    assert (tmp_path / "report.json").read_text() == before


@pytest.mark.parametrize("content", [b"", b"no state", b"abc"])
def test_a_broken_state_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "resume").mkdir()
    (tmp_path / "resume" / "state.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"must fit this run's model, got .*state\.pt: .*;"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.name=timr", r"backbone must be one of \[.*'timer'.*\], got 'timr'"),
        ("model.config.d_modle=3", r"model\.config\.d_modle: there is no such key"),
        ("objective.name=none", r"toml: objective\.name: objective must be one of"),
        ("model.name=[1]", r"toml: model\.name: backbone must be one of .*, got '\[1\]'"),
        ("data.config.real_share=2", r"data\.config\.real_share: .* equal to 1, got 2"),
        ("data.config.window_lengths=[0,128]", r"window_lengths\.0: .* greater than 0, got 0"),
        ("data.config.points_per_batch=0", r"points_per_batch: .* greater than 0, got 0"),
        ("data.config.length_shares=[1.0]", "length_shares must sum to 1"),
        ("data.config.length_shares=[1.5,-0.5]", r"length_shares\.0: .* equal to 1, got 1\.5"),
        ("training.steps=many", r"training\.steps: .*got 'many'"),
        ("training.steps=0", r"training\.steps: input should be greater than 0, got 0"),
        ("training.log_every=0", r"training\.log_every: input should be greater than 0, got 0"),
        ("optimizer.learning_rate=-1", r"optimizer\.learning_rate: .* greater than 0, got -1"),
        ("optimizer.beta1=1.0", r"optimizer\.beta1: input should be less than 1, got 1.0"),
        ("schedule.decay_share=2", r"schedule\.decay_share: .* less than or equal to 1, got 2"),
        ("run.seed=-1", r"run\.seed: input should be greater than or equal to 0, got -1"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, override)
    assert not list(tmp_path.iterdir())
