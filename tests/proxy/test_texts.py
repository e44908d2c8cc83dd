"""What people and browsers are given: the block page, the PAC file, browser policies, rules of the stricter modes."""

import json
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from blockerd.model import Action, Decision, RuleRef
from blockerd.policy.name import from_text
from blockerd.proxy import blockpage, modes
from blockerd.proxy.pac import chromium_policy, firefox_policy, pac
from blockerd.report.helplines import Country, Line
from tests.trials.namespace import ALONE, alone

COUNTRY = Country("XX", "Nowhere", "112", (Line("Ear", "0800 1", ""),), "source", date(2026, 1, 1), ())
DECISION = Decision(Action.NODATA, "page rule", RuleRef("pages-x", 3, "site.test/<board>", "adult"), "adult")


def test_help_stands_before_everything_else():
    text = blockpage.page(DECISION, from_text("www.site.test"), COUNTRY).decode()
    body = text.partition("<body>")[2]
    assert body.index("0800 1") < body.index("A page was not opened.")
    assert "findahelpline.com" in blockpage.page(DECISION, b"", None).decode()


def test_the_page_holds_nothing_remote_and_no_script():
    text = blockpage.page(DECISION, from_text("www.site.test"), COUNTRY).decode()
    assert not re.search(r"<script|<img|src=|href=|url\(|@import", text)
    assert "default-src 'none'" in dict(blockpage.HEADERS)["Content-Security-Policy"]


def test_the_page_names_neither_the_page_nor_the_whole_site():
    text = blockpage.page(DECISION, from_text("www.site.test"), COUNTRY).decode()
    assert "www.site.test" not in text
    assert "board" not in text


def test_hostile_texts_stay_texts():
    hostile = Decision(Action.NODATA, '<b>"x', RuleRef("<i>", 1, "", ""), "<u>")
    text = blockpage.page(hostile, b"\x03<b>\x04test\x00", COUNTRY, link='"><script>').decode()
    assert not re.search(r"<b>|<i>|<u>|<script", text)


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
