"""How many requests are on their way, of all classes together, and the bound on it."""

from gevent.event import Event


class InFlight:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self.bound_reached = False
        self.none = Event()
        """Set while nothing is in flight."""
        self.none.set()

    def enter(self) -> bool:
        """False: the bound is reached, which is remembered, and nothing was entered."""
        if self.count >= self.limit:
            self.bound_reached = True
            return False
        self.count += 1
        if self.count == 1:
            self.none.clear()
        return True

    def leave(self) -> None:
        self.count -= 1
        if self.count == 0:
            self.none.set()
