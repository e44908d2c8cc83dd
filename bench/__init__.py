"""Measures blockerd beside other resolvers on one machine in one run: speed, memory, start, bursts, reloads. See README.md."""
