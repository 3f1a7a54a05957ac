"""What a saved detector has beside its model: how errors become scores, and scores flags."""

import json
from dataclasses import asdict
from pathlib import Path

from tsfm.errors import CheckpointError
from tsfm.models.beside import check_beside, write_beside
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.detection.thresholds import Threshold

DETECTOR_FILE = "detector.json"


def write_settings(folder: Path, threshold: Threshold | None, rule: ScoreRule) -> None:
    """Write the rule and the threshold of a detector beside its model."""
    settings = {
        "rule": asdict(rule),
        "threshold": None if threshold is None else asdict(threshold),
    }
    write_beside(folder, DETECTOR_FILE, settings)


def read_settings(folder: Path) -> tuple[Threshold | None, ScoreRule | None]:
    """Return the threshold and the rule of a detector; None for a model without.

    Raises
    ------
    CheckpointError
        When they cannot be read, or are of other weights.
    """
    file = folder / DETECTOR_FILE
    if not file.is_file():
        return None, None
    check_beside(folder, DETECTOR_FILE)
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        kept = settings["threshold"]
        # A threshold belongs to the scores it was fitted on, which once had fewer parts.
        without = {"range_weight": 0.0, "long_smoothing_weight": 0.0, "level_weight": 0.0}
        rule = ScoreRule(**{**without, **settings["rule"]})
        return Threshold(**kept) if kept else None, rule
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{DETECTOR_FILE} must hold a rule and a threshold, got {file} with: {error}; save the "
            "detector again"
        ) from error
