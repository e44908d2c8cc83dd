"""The process `control`: the journal's only writer, what it does by the clock and what it answers."""
