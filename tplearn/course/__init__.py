"""The course as files: where it is, what a page says, the reader's copy of it. It needs only the standard library."""
