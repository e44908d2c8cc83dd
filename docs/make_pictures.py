"""Makes the pictures of the README from what the program really prints; needs Chromium.

usage: python docs/make_pictures.py    (writes docs/preview.png; look at it before committing it)
"""

import html
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #f4f1ea; }}
pre {{ margin: 24px; padding: 20px 26px; border-radius: 8px; background: #fffdf8; color: #2c2a26;
      font: 15px/1.45 "DejaVu Sans Mono", monospace; border: 1px solid #ddd6c8; }}
b {{ color: #35606e; font-weight: 600; }}
</style><pre><b>$ blockerd demo</b>
{text}</pre>"""


def main() -> int:
    """Runs the demo and photographs its page."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write("make_pictures: no Chromium found; apt-get install chromium\n")
        return 1
    done = subprocess.run([sys.executable, "-m", "blockerd", "demo"], capture_output=True, text=True, check=True)
    text = done.stdout.split("All of it lies in")[0].rstrip()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(PAGE.format(text=html.escape(text)), "utf-8")
        lines = text.count("\n") + 2
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                "--disable-background-networking", f"--user-data-dir={folder}/profile",
                f"--window-size=1130,{lines * 22 + 100}", f"--screenshot={HERE / 'preview.png'}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
