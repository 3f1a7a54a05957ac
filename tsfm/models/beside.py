"""What lies beside a checkpoint, a calibration or a threshold, belongs to its weights alone."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tsfm.errors import CheckpointError
from tsfm.models.pretrained import WEIGHTS_FILE

WEIGHTS_KEY = "weights_sha256"


def write_beside(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """Write `content` to a JSON file of a checkpoint's folder, with the digest of its weights."""
    text = json.dumps({**content, WEIGHTS_KEY: _digest(folder)}, indent=2) + "\n"
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def check_beside(folder: Path, name: str) -> None:
    """Refuse a file that was written for other weights, over which a model was saved since.

    Files of earlier versions, which have no digest, pass, and those that are no JSON: who reads
    them says what is wrong.

    Raises
    ------
    CheckpointError
        When the weights have changed.
    """
    file = folder / name
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        expected = content.get(WEIGHTS_KEY)
        found = _digest(folder)
    except (OSError, ValueError, AttributeError):
        return
    if expected not in (None, found):
        raise CheckpointError(
            f"{name} must be of the weights beside it, got {file}, which was made for others; "
            "save both again in one folder, or delete it"
        )


def _digest(folder: Path) -> str:
    return sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
