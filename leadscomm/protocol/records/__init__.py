"""What the toolkit itself says above the lanes of a session, beside the application's messages."""
