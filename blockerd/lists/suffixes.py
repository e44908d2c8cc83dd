"""Public suffixes for the builder: the parsers' own module under the name by which `table` asks for it."""

from blockerd.lists.formats.suffixes import Reach, reach

__all__ = ["Reach", "reach"]
