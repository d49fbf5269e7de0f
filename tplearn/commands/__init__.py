"""What the long commands do: train, generate, verify on ranks they start or in torchrun's group; plan by itself."""
