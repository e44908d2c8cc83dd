"""Where the folder of real published lists is; tests that read it are skipped only where it is not there."""

import os
from pathlib import Path

import pytest

from tests.conftest import NOT_RUN

# Read when this module is imported: during the tests the environment is empty.
_FOLDER = Path(os.environ.get("BLOCKERD_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def shared_data() -> Path:
    """The folder with `lists/` in it; skips the test where it is missing."""
    if not (_FOLDER / "lists").is_dir():
        pytest.skip(NOT_RUN + "the folder of published lists ($BLOCKERD_SHARED_DATA or ../shared/data)")
    return _FOLDER
