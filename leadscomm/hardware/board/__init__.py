"""An Arduino with its pins and layouts."""
