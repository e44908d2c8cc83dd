"""Reads the texts shipped with the package: the languages beside this file, and the help lines.

Refuses a language that is not there by giving English. Called by whoever prepares a mail or a preview; everything made
of the texts is pure and takes them as a parameter.
"""

from functools import cache
from pathlib import Path

from blockerd.report import catalogue, helplines
from blockerd.report.catalogue import Catalogue
from blockerd.report.helplines import Helplines

MODEL = "en"
_HERE = Path(__file__).resolve().parent


@cache
def load(language: str = MODEL) -> Catalogue:
    """The texts of `language` (a file name without its ending), English where it is not shipped."""
    if language not in languages():
        language = MODEL
    model = None if language == MODEL else load(MODEL)
    return catalogue.parse(language, (_HERE / f"{language}.toml").read_text("utf-8"), model)


def languages() -> tuple[str, ...]:
    """The languages shipped, sorted."""
    return tuple(sorted(path.stem for path in _HERE.glob("*.toml")))


@cache
def help_by_country() -> Helplines:
    """The shipped help lines."""
    return helplines.parse((_HERE.parent / "helplines.toml").read_text("utf-8"))
