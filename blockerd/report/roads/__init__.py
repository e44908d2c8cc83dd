"""The roads by which a mail leaves; each stands in a file of its own."""
