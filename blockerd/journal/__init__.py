"""The record: spool segments that every process appends, and the SQLite journal that `control` alone writes."""
