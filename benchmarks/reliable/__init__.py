"""What reliability costs and what it brings: sessions against bare connections, through loss, cuts and thin lines."""
