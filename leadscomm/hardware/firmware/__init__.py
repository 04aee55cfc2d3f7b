"""Firmware compiled and uploaded."""
