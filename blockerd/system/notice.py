"""Nothing is hidden: what whoever logs in here reads, and what the people of a home read whose devices are filtered.

Pure. Called by `system.plan`, and by `cli.install` for a home's network.
"""

from blockerd.system.steps import File, Step

MOTD = "/etc/motd.d/50-blockerd"
ISSUE = "/etc/issue.d/50-blockerd.issue"

LOGIN = """\
This computer has a filter, blockerd: names of porn, cam and sex-chat sites are refused and such requests are recorded
here{but}.
`blockerd status` says how it is, `blockerd consent` who is told what. It can be taken off: `blockerd uninstall`.
"""
BUT = ", but not while another account than {person}'s is at the screen"

HOUSE = """\
A note for everybody at home

Our network's names are looked up by a filter on {machine}. It refuses names of porn, cam and sex-chat sites, for all
devices that use it. It was set up by one of us for themselves. Your devices are not recorded: what you look up leaves
no trace, neither what is refused nor anything else, unless you have asked for it. Help lines, medical sites and advice
centres are always open. You can use another resolver at any time, in your device's network settings (DNS); if something
is wrongly refused, say so, and it will be opened.
"""


def steps(person: str = "") -> tuple[Step, ...]:
    """What is shown at each login in a terminal (pam_motd(8)) and before it on a console (agetty(8)).

    `person` is the account whose requests are recorded, "" where all are. A console names nobody before the login.
    """
    shown, before = (
        LOGIN.format(but=BUT.format(person=one) if one else "") for one in (person, person and "the owner")
    )
    return (
        File("a note at each login", MOTD, shown.encode()),
        File("a note before the login on a console", ISSUE, before.encode() + b"\n"),
    )


def at_home(listen: tuple[str, ...], machine: str = "this computer") -> str:
    """The note for a home whose devices may ask us; "" where only this machine can."""
    others = [one for one in listen if not one.startswith("127.") and one != "::1"]
    return HOUSE.format(machine=machine) if others else ""
