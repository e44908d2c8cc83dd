"""Hosts whose traffic is never decrypted, whatever a rule says: money, health, government, mail, passwords. Pure.

Lines of the list are a name (it and everything below) or `label:x` (any host with that label). What the operating
system and its shops need is there too, for they refuse other certificates. Called by `decide_url` and by `shipped`.
"""

from dataclasses import dataclass

from blockerd.policy.name import BadName, from_text, labels_of, suffixes


@dataclass(frozen=True, slots=True)
class NeverDecrypt:
    """`names` in canonical wire form stand for themselves and all below; `labels` for any host that has one of them."""

    names: frozenset[bytes]
    labels: frozenset[bytes]

    def covers(self, name: bytes) -> bool:
        """True if the host `name` is never decrypted."""
        if not self.names.isdisjoint(suffixes(name)):
            return True
        return not self.labels.isdisjoint(labels_of(name))

    def with_names(self, names: frozenset[bytes]) -> "NeverDecrypt":
        """The same list with more `names`."""
        return NeverDecrypt(self.names | names, self.labels)


def parse(text: str) -> NeverDecrypt:
    """The list in `text`.

    Raises:
        ValueError: a line that is neither; the message names it.
    """
    names, labels = set[bytes](), set[bytes]()
    for number, line in enumerate(text.splitlines(), 1):
        body = line.partition("#")[0].strip()
        if body.startswith("label:"):
            labels.add(body.removeprefix("label:").strip().encode("ascii"))
        elif body:
            try:
                names.add(from_text(body))
            except BadName as error:
                raise ValueError(f"line {number}: {body}: {error}") from None
    return NeverDecrypt(frozenset(names), frozenset(labels))
