"""Makes the offline lists of this folder from published files: plain sorted names, gzip, and `index.toml`.

Refuses a file that is not the one of the commit named in `LISTS`. Leaves out what must not be closed: what the parsers
refuse, protected names and those above them, names a starter file puts into another category, and `left-out.txt`.
Run by hand for a new date: `python blocklists/offline/make_offline.py FOLDER`; nothing is fetched or resolved.
"""

import argparse
import gzip
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from blockerd.lists.formats import parse
from blockerd.lists.formats.suffixes import Reach, reach
from blockerd.lists.guard import protected
from blockerd.model import CATEGORIES
from blockerd.policy.name import from_text, suffixes, to_text

HERE = Path(__file__).resolve().parent
LEFT_OUT = HERE / "left-out.txt"
SHADOW = ("https://github.com/ShadowWhisperer/BlockLists", "2d65ab579151")
SINFONIETTA = ("https://github.com/Sinfonietta/hostfiles", "62631ce2ee37")


@dataclass(frozen=True, slots=True)
class Published:
    """A published file as it was taken; `sha256` is that of its text, `file` its name in the given folder."""

    id: str
    title: str
    category: str
    repository: str
    commit: str
    path: str
    date: str
    licence: str
    file: str
    sha256: str
    confirm: bool = False


LISTS = (
    Published(
        "shadowwhisperer-adult", "ShadowWhisperer Adult", "adult", *SHADOW, "Lists/Adult", "2026-08-22", "Unlicense",
        "shadowwhisperer-adult.domains.txt.gz", "1300b830527bb1feaf735f27b374b316dc6ede3b92ec9a9fe6b542e367a43382",
    ),
    Published(
        "sinfonietta-porn", "Sinfonietta pornography", "adult", *SINFONIETTA, "pornography-hosts", "2026-04-23", "MIT",
        "sinfonietta-porn.hosts.txt.gz", "9a26dfd1ad977e06365938196b43a4c087583140b8e409735df557b07b2eaf50",
        confirm=True,
    ),
    Published(
        "shadowwhisperer-dating", "ShadowWhisperer Dating", "dating", *SHADOW, "Lists/Dating", "2026-08-16",
        "Unlicense",
        "shadowwhisperer-dating.domains.txt.gz", "70219003baf8a0616c9fa226ef9814d9484472ae83692081e7827658f1ca7ebd",
    ),
    Published(
        "shadowwhisperer-tunnels", "ShadowWhisperer Tunnels", "bypass", *SHADOW, "Lists/Tunnels", "2026-08-16",
        "Unlicense",
        "shadowwhisperer-tunnels.domains.txt.gz", "45b9dac76cb2c7c8a482231a8650ec5c22d042ea8172cc855b0c83a4725db1fa",
    ),
)  # fmt: skip
WITNESSES = (
    LISTS[0].file,
    "4skin-porn.hosts.txt.gz",  # 4skinSkywalker/Anti-Porn-HOSTS-File, MIT; confirms names, gives none
)
WORDS = re.compile(
    "porn|xxx|hentai|nude|milf(?!ord)|erot|escort|pussy|(?<!pea)(?<!han)cock(?!pit)|fuck|slut|whore|bdsm|fetish|xnxx|xvid|xhamster|bokep|nsfw|naked"
    "|camgirl|webcam|livecam|camsex|shemale|tranny|ladyboy|titt?s|titten|boobs|blowjob|handjob|hardcore|incest|gangbang"
    "|creampie|cumshot|bukkake|masturb|orgas|dildo|vagina|chaturbat|onlyfans|brazzers|redtube|jizz|rule34|zoofil|twink"
    "|lesbian|youjizz|simontok|putas|puta[rs]ia|seks|szex|pizd|trah|(?<!es)(?<!us)(?<!dle)sex(?!ual-?ed|t(?:on|ant))"
)
"""What a name says of itself: enough to keep one that only a single, keyword-made list holds."""


@dataclass(slots=True)
class Made:
    """One list as it will be written; `left_out` counts names by reason."""

    names: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


def read(path: Path) -> bytes:
    """The text of a published file, gzip or plain."""
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def left_out(path: Path = LEFT_OUT) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Names left out by hand, and of those the ones written `*.name`: left out with everything below."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    found = [line for line in lines if line]
    below = frozenset(from_text(line[2:]) for line in found if line.startswith("*."))
    return frozenset(from_text(line.removeprefix("*.")) for line in found), below


def starter_names(folder: Path, but: str) -> frozenset[bytes]:
    """Names of the starter files of every category but one."""
    files = (folder / f"{category}.txt" for category in CATEGORIES if category != but)
    return frozenset(name for file in files for name in parse(file.read_bytes(), "domains").names)


def make(published: Published, folder: Path, starters: Path = HERE.parent) -> Made:
    """The names of one list that are kept, sorted, and how many are not, by reason.

    Raises:
        ValueError: the file is not the one that `published` describes.
    """
    data = read(folder / published.file)
    if hashlib.sha256(data).hexdigest() != published.sha256:
        raise ValueError(f"{folder / published.file}: not the file of commit {published.commit}: take that one")
    parsed = parse(data)
    confirmed = _witnesses(folder) if published.confirm else None
    made = Made(left_out={"refused by the parser": parsed.issue_count})
    kept: set[bytes] = set()
    reasons = _Reasons(starter_names(starters, published.category), confirmed)
    for name in parsed.names:
        reason = reasons.why(name)
        if name in kept:
            reason = "twice in it"
        if reason:
            made.left_out[reason] = made.left_out.get(reason, 0) + 1
        else:
            kept.add(name)
    spare = {name for name in kept if not kept.isdisjoint(suffixes(name)[1:])}
    made.left_out["below another name of it"] = len(spare)
    made.names = sorted(to_text(name) for name in kept - spare)
    return made


class _Reasons:
    """Why a name is left out."""

    def __init__(self, elsewhere: frozenset[bytes], confirmed: frozenset[bytes] | None) -> None:
        self._guard = protected()
        self._elsewhere = elsewhere
        self._confirmed = confirmed
        self._by_hand, self._below = left_out()

    def why(self, name: bytes) -> str:
        """A reason, or "" for a name that is kept."""
        chain = suffixes(name)
        bare = chain[1] if name.startswith(b"\x03www") else name
        if self._guard.covers(name) or name in self._guard.above:
            return "protected, or above a protected name"
        if reach(name) is not Reach.ORDINARY:
            return "a public suffix"
        if bare in self._by_hand or not self._below.isdisjoint(chain):
            return "by hand: left-out.txt"
        if not self._elsewhere.isdisjoint(chain):
            return "in a starter file of another category"
        if self._confirmed is not None and self._confirmed.isdisjoint(chain) and not WORDS.search(to_text(name)):
            return "no other free list holds it and the name does not say it"
        return ""


def _witnesses(folder: Path) -> frozenset[bytes]:
    return frozenset(name for file in WITNESSES for name in parse(read(folder / file)).names)


def text_of(published: Published, made: Made) -> str:
    """The list as text: head, then a name a line."""
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(made.left_out.items()) if count)
    head = (
        f"blockerd offline list: {published.title}",
        f"Category: {published.category}",
        "A line is a plain domain name and covers that name and everything below it.",
        f"Source: {published.repository}, {published.path}",
        f"Commit: {published.commit}",
        f"Date: {published.date}",
        f"Licence: {published.licence} (see LICENCES); names are facts",
        f"Left out: {counts}",
        f"Entries: {len(made.names)}",
    )
    return "".join(f"# {line}\n" for line in head) + "".join(f"{name}\n" for name in made.names)


def index_entry(published: Published, made: Made, text: str) -> str:
    """The list's part of `index.toml`; `sha256` is that of the text, which no version of gzip changes."""
    values = {
        "id": published.id,
        "title": published.title,
        "file": f"{published.id}.txt.gz",
        "category": published.category,
        "source": f"{published.repository} {published.path}",
        "commit": published.commit,
        "date": published.date,
        "licence": published.licence,
    }
    lines = [f'{key} = "{value}"' for key, value in values.items()]
    lines += [f"names = {len(made.names)}", f'sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"']
    return "\n".join(["[[list]]", *lines]) + "\n"


def write(folder: Path, out: Path = HERE) -> Iterator[str]:
    """Writes every list and the index; yields one line for each."""
    entries: list[str] = []
    for published in LISTS:
        made = make(published, folder)
        text = text_of(published, made)
        (out / f"{published.id}.txt.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        entries.append(index_entry(published, made, text))
        yield f"{published.id}: {len(made.names)} names; left out: {made.left_out}"
    _index(out / "index.toml", entries)


def _index(path: Path, entries: Iterable[str]) -> None:
    head = "# The offline lists of this folder, made by make_offline.py; `sha256` is that of the unpacked text.\n\n"
    path.write_text(head + "\n".join(entries), encoding="ascii")


def main() -> int:
    """Makes the lists from the folder of published files that is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the published files, gzip or plain, named as in LISTS")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write (default: this folder)")
    given = parser.parse_args()
    try:
        for line in write(given.folder, given.out):
            sys.stdout.write(f"{line}\n")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"make_offline: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
