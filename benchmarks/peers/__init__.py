"""The libraries that leadscomm is measured against: each module is run as a server's and as a client's process.

Each does what its own documentation shows, in the quickest ordinary way, and calls a Python function for every message.
"""
