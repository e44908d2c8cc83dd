"""Lists from https addresses: fetched, judged, kept, and what became of each on record."""
