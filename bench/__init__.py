"""Measures blockerd beside other resolvers, in one run on one machine: speed, memory, start, reloads. See README.md."""
