"""Data shipped inside the package: `protected.txt`, the names no list can close, and `PROTECTED.sha256`, its digest.

Holds no code. Who loads the protected names compares the digest first and refuses a file that differs from it.
"""
