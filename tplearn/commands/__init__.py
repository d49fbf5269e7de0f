"""What the long commands do: train, generate, verify. Each runs on ranks it starts, or in torchrun's group."""
