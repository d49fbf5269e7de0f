"""Pictures of tensor parallelism: static figures (matplotlib) and widgets (ipywidgets), loaded when asked for."""
