"""TCP, TLS, Unix sockets, and conversations inside one program."""
