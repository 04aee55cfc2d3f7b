"""UDP: the dialling and the listening side."""
