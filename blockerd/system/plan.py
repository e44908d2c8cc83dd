"""Chooses the way and puts the steps of all parts in their one order, or refuses with the reason. Pure.

The order is the safety: the filter answers before anything points at it, and on the way back, which goes from the last
step to the first, nothing points at it any more when it ends. Called by `cli.install` and `system.doctor`.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from blockerd.system import browsers, nftables, notice, resolvconf, resolved, units
from blockerd.system.picture import Holder, Machine, Resolv
from blockerd.system.steps import Step, told
from blockerd.system.wish import Way, Wish


class PlanError(Exception):
    """This machine cannot be planned for as it is; one line says what is in the way and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` in the order of doing; `notes` are lines that a person should read before agreeing."""

    way: Way
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


def plan(machine: Machine, wish: Wish) -> Plan:
    """All steps of an install on a Linux machine.

    Raises:
        PlanError: something is in the way.
    """
    _refuse(machine, wish)
    way = wish.way or choose(machine)
    takeover = {
        Way.RESOLVED: resolved.takeover,
        Way.STUB_OFF: resolved.stub_off,
        Way.PLAIN: resolvconf.takeover,
    }.get(way)
    if takeover is None:
        raise PlanError(f"{way.name.lower()} is no way of Linux; leave --way out to let blockerd choose")
    steps = (
        *units.account(wish.places, machine),
        *units.install(wish, machine),  # ends with the filter answering
        *takeover(machine, wish),  # only now does anything point at it
        *(nftables.belt(machine, wish) if wish.belt and machine.has("nft") else ()),
        *browsers.policies(machine, wish),
        *notice.steps(_owner(machine, wish)),
        *units.beside(wish, machine, way),
    )
    return Plan(way, steps, tuple(_notes(machine, wish, way)))


def choose(machine: Machine) -> Way:
    """The way for this machine: systemd-resolved keeps its place wherever programs ask it."""
    asked = machine.resolv in (Resolv.STUB, Resolv.UPLINK) or "127.0.0.53" in machine.resolvers
    return Way.RESOLVED if asked and machine.runs("systemd-resolved") else Way.PLAIN


def in_the_way(machine: Machine, wish: Wish) -> list[Holder]:
    """Who listens where blockerd wants to; systemd-resolved's stub has addresses of its own and is in nobody's way."""
    wanted = set(wish.listen)
    return [
        holder
        for holder in machine.holders
        if holder.unit != "blockerd-dns.service" and (holder.address in wanted or _covers(holder.address, wanted))
    ]


def shown(made: Plan) -> list[tuple[str, str]]:
    """(what is done, how it is taken back) of each step."""
    return [told(step) for step in made.steps]


def _refuse(machine: Machine, wish: Wish) -> None:
    holders = in_the_way(machine, wish)
    if holders:
        names = "; ".join(dict.fromkeys(holder.named() for holder in holders))
        raise PlanError(f"port 53 is taken: {names}; end or move that program, nothing was changed")
    if not machine.has("systemctl"):
        raise PlanError("no systemctl here; start `blockerd run` from your own init and point the resolver at it")
    for path, remedy in (
        (wish.places.program, "install the package, or make the environment under /opt"),
        (wish.places.config, "put it at /etc/blockerd/blockerd.toml, or run: sudo blockerd setup"),
        (wish.places.state, 'set state.dir = "/var/lib/blockerd"'),
    ):
        if path.startswith(("/home/", "/root/")):
            raise PlanError(f"{path}: the service user cannot read it there; {remedy}")
    if wish.fallback and (why := _no_fallback(wish)):
        raise PlanError(f"--fallback {wish.fallback} {why}; write the address of a resolver that filters")
    for path in ("/etc/resolv.conf", "/etc"):
        if path in machine.fixed:
            raise PlanError(f"{path} cannot be changed (chattr +i or read-only); allow that first, nothing was changed")


def _no_fallback(wish: Wish) -> str:
    """Why nobody can answer there while the filter is gone; "" where somebody may."""
    try:
        at = ip_address(wish.fallback)
    except ValueError:
        return "is no IP address"
    if at.is_loopback or at.is_unspecified or wish.fallback in wish.listen:
        return "is this computer itself"
    return (
        "is no address of one server"
        if at.is_multicast or at.is_link_local or at.is_reserved or "%" in wish.fallback
        else ""
    )


def _owner(machine: Machine, wish: Wish) -> str:
    """The account whose record this will be while it can be told apart from others, "" where all is recorded."""
    return wish.person if wish.person != "root" and machine.has("loginctl") else ""


def _notes(machine: Machine, wish: Wish, way: Way) -> list[str]:
    notes = []
    if owner := _owner(machine, wish):
        notes.append(
            f"the record is that of {owner}: while another account is at the screen, what this computer asks is "
            "filtered and not recorded (agent.users names further accounts of yours)"
        )
    if note := notice.at_home(wish.listen):
        notes.append("other devices may ask this one; people at home should read this:\n\n" + note)
    if wish.belt and not machine.has("nft"):
        notes.append("no nft here: programs with a resolver of their own go past the filter (install nftables)")
    if wish.fallback:
        notes.append(
            f"while the filter is gone everything is asked of {wish.fallback}; what that withholds is not checked here"
        )
    notes += [
        f"{browser.policy} is no JSON and stays as it is: {browser.vendor} may use a resolver of its own"
        for browser in (browsers.unreadable(machine) if wish.browsers else ())
    ]
    if tunnels := [link.name for link in machine.links if link.tunnel and link.up]:
        notes.append(f"a VPN is up ({', '.join(tunnels)}): while it is, its own resolver may answer first")
    if way is Way.PLAIN and machine.runs("systemd-resolved"):
        notes.append("systemd-resolved runs but programs do not ask it: /etc/resolv.conf is taken over instead")
    if machine.runs("nscd"):
        notes.append("nscd runs: it may keep answers up to an hour; restart it, or remove it")
    if machine.runs("docker"):
        notes.append("containers of Docker keep resolvers of their own until they are started again")
    return notes


def _covers(address: str, wanted: set[str]) -> bool:
    """True if a socket on `address` keeps one of `wanted` from being bound."""
    if address in ("0.0.0.0", "*"):
        return any(":" not in one for one in wanted)
    return address == "::" and bool(wanted)
