"""Host and device: the host gives orders, the device carries them out. README.md tells how to run them."""
