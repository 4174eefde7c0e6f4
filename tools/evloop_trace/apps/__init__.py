"""Programs with input and output: the live picture, the player, a still; `views` draws for them."""
