"""What ``leadscomm demo`` is made of."""
