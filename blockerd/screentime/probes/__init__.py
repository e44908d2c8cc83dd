"""One probe for each desktop, behind `screentime.probe`."""
