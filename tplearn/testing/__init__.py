"""The pytest plugin: `@pytest.mark.ranks(4)` runs a test on 4 fresh ranks, and pytest reports it as its own.

In pytest's own process an item of that kind sets up what is shared, its call starts the ranks, and its report is made
of theirs. In each rank pytest runs the same item once more, as it runs any.
"""
