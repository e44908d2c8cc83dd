"""The golden notes: what each role reads in the first, the middle and the last week of an invented quarter."""

import pytest

from blockerd.report.mail_html import html
from blockerd.report.mail_text import text
from blockerd.settings import Role
from tests.report.quarter import GOLDEN, golden, written


def test_the_notes_are_the_golden_files_to_the_byte():
    kept = {path.name: path.read_text("utf-8") for path in GOLDEN.iterdir()}
    assert kept == golden(), "python -m tests.report.quarter, then read the difference"


@pytest.mark.parametrize("role", Role)
def test_the_same_data_and_period_give_the_same_bytes(role: Role):
    assert html(written(role)) == html(written(role))
    assert text(written(role)) == text(written(role))
