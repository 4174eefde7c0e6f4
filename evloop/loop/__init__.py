"""The event loop: its phases, what it watches, its timers and its wake-up call."""
