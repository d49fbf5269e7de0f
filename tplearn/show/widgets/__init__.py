"""Interactive pictures, one module per widget: a `draw` function, and a `show()` that adds the controls."""
