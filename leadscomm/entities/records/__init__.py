"""What the toolkit itself says inside sessions, kept by an entity: streams, durable messages, groups."""
