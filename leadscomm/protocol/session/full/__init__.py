"""The full profile between hosts: lanes, several links, selective acknowledgements."""
