"""Training on the pixel grid: many seeds and agents in one batched network."""
