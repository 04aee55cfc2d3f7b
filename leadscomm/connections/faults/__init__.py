"""``fault://`` before an endpoint: faults made on purpose."""
