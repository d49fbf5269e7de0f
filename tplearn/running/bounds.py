"""How much is kept of a run that may take days. What goes beyond is counted, and the user is told."""

OPERATORS = 50_000  # operators of each rank in a timeline, the first
ROWS = 50_000  # collectives of each rank in a timeline and in the ledger's rows, the first
JUDGED = 10_000  # collectives of each group that are kept once all have come, for warnings
