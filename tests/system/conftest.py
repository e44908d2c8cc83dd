"""What the tests of installing share: nobody waits for the disks of the whole machine."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_sync_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.sync` waits for all that anybody writes; test_apply asserts when it is called."""
    monkeypatch.setattr(os, "sync", lambda: None)
