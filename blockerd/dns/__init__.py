"""The resolver: raw question bytes in, answer bytes out. Only this process is needed to browse."""
