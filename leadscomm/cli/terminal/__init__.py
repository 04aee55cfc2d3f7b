"""What the commands share: arguments, lines in and out, words."""
