"""Makes the pictures of the weekly note from the golden files; needs Chromium.

usage: python docs/make_report_pictures.py    (writes docs/report-*.png; look at them before committing them)
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTES = HERE.parent / "tests" / "golden" / "reports"
# (role, width of the screen, dark, height shown)
SHOTS = (
    ("spouse", 390, False, 1500),
    ("self", 390, True, 1900),
    ("mentor", 1000, False, 1340),
    ("therapist", 1000, True, 1340),
)
# Chromium opens no window as narrow as a phone: the note stands in a frame of that width.
FRAME = (
    '<!doctype html><meta name="color-scheme" content="light dark"><style>body{{margin:0}}'
    "iframe{{display:block;border:0;width:{width}px;height:{height}px}}</style><iframe src={uri!r}></iframe>"
)


def main() -> int:
    """Photographs one note of each role: phone and desk, light and dark."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write("make_report_pictures: no Chromium found; apt-get install chromium\n")
        return 1
    for role, width, dark, height in SHOTS:
        name = f"report-{role}-{'phone' if width < 600 else 'desk'}-{'dark' if dark else 'light'}.png"
        _shoot(browser, NOTES / f"{role}.html", HERE / name, width, dark, height)
    return 0


def _shoot(browser: str, note: Path, picture: Path, width: int, dark: bool, height: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(FRAME.format(width=width, height=height, uri=note.as_uri()), "utf-8")
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                "--disable-background-networking", f"--user-data-dir={folder}/profile",
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
