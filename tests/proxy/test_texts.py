"""What people and browsers are given: the block page, the PAC file, browser policies, rules of the stricter modes."""

import json
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from blockerd.proxy import blockpage, modes
from blockerd.proxy.gate import when
from blockerd.proxy.pac import chromium_policy, firefox_policy, pac
from blockerd.report.helplines import Country, Line
from tests.trials.namespace import ALONE, alone

COUNTRY = Country("XX", "Nowhere", "112", (Line("Ear", "0800 1", ""),), "source", date(2026, 1, 1), ())
WHY = blockpage.Why("w…e.test", "adult sites", "boards of mixed sites", "page rule", "07:00")


def test_help_stands_before_everything_else():
    body = blockpage.page(WHY, COUNTRY).decode().partition("<body>")[2]
    assert body.index("0800 1") < body.index("A page was not opened.")
    assert "findahelpline.com" in blockpage.page(WHY, None).decode()


def test_the_page_holds_nothing_remote_and_no_script():
    text = blockpage.page(WHY, COUNTRY).decode()
    assert not re.search(r"<script|<img|src=|href=|url\(|@import", text)
    assert "default-src 'none'" in dict(blockpage.HEADERS)["Content-Security-Policy"]


def test_it_says_what_why_and_until_when_and_leaves_out_what_is_not_known():
    text = blockpage.page(WHY, COUNTRY).decode()
    assert all(word in text for word in ("w…e.test", "adult sites", "boards of mixed sites", "page rule", "07:00"))
    assert "<dt>Until</dt>" not in blockpage.page(blockpage.Why("a.test", "", "", "listed"), COUNTRY).decode()


def test_hostile_texts_stay_texts():
    text = blockpage.page(blockpage.Why("<b>", "<i>", '"><script>', "<u>", "<s>"), COUNTRY).decode()
    assert not re.search(r"<b>|<i>|<u>|<s>|<script", text)


def test_an_end_is_told_as_people_say_it():
    noon = 1_800_014_400.0  # Fri 15 Jan 2027, 12:00 UTC
    assert when(noon + 3600, "Europe/Berlin", noon) == "14:00"
    assert when(noon + 86400, "Europe/Berlin", noon) == "Sat 13:00"


def test_policies_are_json_and_turn_quic_off():
    chromium, firefox = (
        json.loads(chromium_policy("127.0.0.1:8054")),
        json.loads(firefox_policy("127.0.0.1:8054", "/c")),
    )
    assert chromium["QuicAllowed"] is False
    assert chromium["ProxyServer"] == "127.0.0.1:8054"
    assert firefox["policies"]["Certificates"] == {"Install": ["/c"]}


@pytest.mark.parametrize(
    ("fall_back", "way"), [(False, '"PROXY 127.0.0.1:8054"'), (True, '"PROXY 127.0.0.1:8054; DIRECT"')]
)
def test_the_pac_file_goes_past_a_missing_proxy_only_when_told_so(fall_back: bool, way: str):
    text = pac("127.0.0.1:8054", fall_back=fall_back)
    assert f"return {way};" in text
    assert '"172.16.0.0", "255.240.0.0"' in text
    assert text.count("{") == text.count("}")


@pytest.mark.needs_tool("nft", "nftables")
@pytest.mark.needs_kernel("user namespaces", ALONE)
@pytest.mark.parametrize("rules", [modes.transparent(8054, "root"), modes.quic_only()])
def test_rules_of_a_mode_are_taken_and_undone_without_a_trace(rules: str, tmp_path: Path):
    (tmp_path / "rules").write_text(rules)
    (tmp_path / "undo").write_text(modes.UNDO)
    nft = shutil.which("nft") or "/usr/sbin/nft"
    course = f"{nft} -f rules && {nft} list tables && {nft} -f undo && {nft} list ruleset"
    done = subprocess.run(alone("sh", "-c", course), cwd=tmp_path, capture_output=True, text=True, check=False)
    if "Operation not supported" in done.stderr or "Protocol not supported" in done.stderr:
        pytest.skip("not run here: nftables of the kernel")
    assert (done.returncode, done.stdout.strip()) == (0, f"table inet {modes.TABLE}"), done.stderr
