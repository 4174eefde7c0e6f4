"""Leading a student through a lesson: what is said, asked, shown while it runs, and told at its end."""
