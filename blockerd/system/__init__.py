"""What blockerd knows of, and does to, the operating system it runs on; one file for each matter or system."""
