"""A small install for tests of builds: a folder, settings read from a real file, lists beside it."""

from pathlib import Path

from blockerd.lists.build import BuildReport, build
from blockerd.lists.guard import protected
from blockerd.lists.state import open_policy
from blockerd.model import Decision, Query
from blockerd.policy.decide import Policy, decide
from blockerd.policy.name import from_text
from blockerd.settings import Settings, load


class Place:
    """Settings and lists in `folder`; nothing is built yet. `settings` reads the file anew at each look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.var = folder / "var"
        self.file = folder / "b.toml"
        self.sources = ""
        self.lists = ""
        self.rest = ""

    def write(self) -> None:
        """Writes the configuration file for commands; `settings` and `build` do so by themselves."""
        self.file.write_text(f"[lists]\nstarter = false\n{self.lists}\n{self.sources}\n{self.rest}\n")

    @property
    def settings(self) -> Settings:
        self.write()
        return load(self.file, {}, self.folder)

    def add(self, source: str, text: str, category: str = "adult", **keys: str) -> Path:
        """A list file, named in the settings."""
        path = self.folder / f"{source}.txt"
        path.write_text(text)
        more = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
        self.sources += f'[[lists.source]]\nid = "{source}"\ncategory = "{category}"\npath = "{source}.txt"\n{more}'
        return path

    def build(self, *, force: bool = False) -> BuildReport:
        return build(self.settings, force=force)

    def policy(self) -> Policy:
        return open_policy(self.var, protected())

    def decide(self, name: str, at: float = 0) -> Decision:
        return decide(self.policy(), Query(from_text(name)), at)

    def blocked(self, name: str) -> bool:
        return self.decide(name).blocked
