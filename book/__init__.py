"""The online book: chapters and exercises as pages of a site that needs no kernel (`make book`)."""
