"""leadscomm beside other ways to send messages, measured in the same way: ``python -m benchmarks``."""
