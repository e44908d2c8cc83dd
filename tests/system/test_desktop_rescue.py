"""`rescue-network` on a Mac and on Windows: the resolvers of before, for good, and everything else stays."""

from pathlib import Path

from blockerd.system import macos, rescue
from blockerd.system.apply import Applier
from tests.system.desktops import MAC, WINDOWS


def test_rescue_gives_the_resolvers_back_for_good_and_keeps_the_rest(tmp_path: Path):
    tools = MAC.begin(tmp_path)
    before = MAC.fresh()
    applier = Applier(tmp_path, tools.run)
    applier.apply(MAC.plan(tools).steps)
    assert applier.undo(data=False, tell=lambda _: None, only=rescue.is_network, forget=False) == []
    assert tools.state["services"] == before["services"]
    assert tools.state["pf"]["anchors"] == before["pf"]["anchors"]
    assert "system/org.blockerd.dns" in tools.state["loaded"]
    left = {path.name for path in (tmp_path / "Library/LaunchDaemons").iterdir()}
    assert left == {f"{label}.plist" for label in (macos.DNS, macos.CONTROL, macos.PROXY)}, "nothing sets them again"
    assert applier.undo(data=True, tell=lambda _: None) == []


def test_rescue_takes_the_rule_and_the_belt_back_and_leaves_the_rest(tmp_path: Path):
    tools = WINDOWS.begin(tmp_path)
    applier = Applier(tmp_path, tools.run)
    applier.apply(WINDOWS.plan(tools).steps)
    applier.undo(data=False, tell=lambda _: None, only=rescue.is_network, forget=False)
    assert tools.state["nrpt"] == WINDOWS.fresh()["nrpt"]
    assert tools.state["firewall"] == WINDOWS.fresh()["firewall"]
    assert tools.state["services"]["blockerd-dns"]["running"]
