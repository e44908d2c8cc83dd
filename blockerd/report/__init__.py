"""The weekly note: which period, what happened in it, and how that is told."""
