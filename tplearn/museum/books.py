"""What a rank sends in one pass, phase by phase: written on the rank itself, so that nothing is sent to tell of it."""

from tplearn.parallel import Place
from tplearn.ranks.events import Enter, Event
from tplearn.ranks.ledger import Row
from tplearn.ranks.recorder import Recorder

PHASES = ("forward", "backward", "after")


class Books:
    """What this rank sends to others in one pass: a list of rows for each phase."""

    def __init__(self, place: Place) -> None:
        self.recorder = Recorder(place.rank, self._keep)
        self.phases: list[list[Row]] = []

    def begin(self) -> None:
        """What comes from now on belongs to the next phase."""
        self.phases.append([])

    def _keep(self, event: Event) -> None:
        if isinstance(event, Enter) and len(event.row.group) > 1:
            self.phases[-1].append(event.row)
