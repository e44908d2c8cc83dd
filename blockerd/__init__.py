"""blockerd: a local name filter, a log of attempts and a weekly note to a person of one's choice.

Holds the version and nothing else, so that every process can import it for free.
"""

__version__ = "0.1.0"
