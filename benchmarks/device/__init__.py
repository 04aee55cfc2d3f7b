"""Measures the device side: what the Arduino library costs, how quick it is, and what it survives."""
