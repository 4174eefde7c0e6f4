"""What is known, drawn: one renderable a file."""
