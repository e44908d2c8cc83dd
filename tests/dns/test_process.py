"""The resolver process and an edited configuration."""

import asyncio
from pathlib import Path

import pytest

from blockerd.dns.process import DnsProcess
from blockerd.settings import Settings, load


def _settings(folder: Path, dns: str) -> Settings:
    (folder / "blockerd.toml").write_text(f"[dns]\n{dns}\n")
    settings = load(folder / "blockerd.toml", {}, folder)
    settings.state.dir.mkdir(parents=True, exist_ok=True)
    return settings


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        ("block_ttl = 30", []),
        ('listen = ["127.0.0.1:5399"]', ["dns.listen has changed: it takes effect at the next start"]),
        ("spool_mb = 64", ["dns.spool_mb has changed: it takes effect at the next start"]),
    ],
)
def test_what_takes_effect_at_the_next_start_only_is_told(
    edited: str, told: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    process = DnsProcess(_settings(tmp_path, ""), lambda: _settings(tmp_path, edited))
    loop = asyncio.new_event_loop()
    process._read_again(loop)
    loop.close()
    assert [record.getMessage() for record in caplog.records] == told
