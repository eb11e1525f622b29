"""Match of servers by zone, flavor, name and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol


class MatchedServer(Protocol):
    """Facts of a server that a `Match` looks at."""

    @property
    def name(self) -> str:
        """Name of the server."""
        ...

    @property
    def az(self) -> str | None:
        """Availability zone of the server."""
        ...

    @property
    def flavor(self) -> str | None:
        """Flavor of the server."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels that the plan gives the server."""
        ...


@dataclass(frozen=True, slots=True)
class Match:
    """Match of servers: a server must fit every key that is written, each by one of its values."""

    az: tuple[str, ...] = ()
    flavor: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    """Case-sensitive globs."""
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each label with its matching values."""

    def covers(self, server: MatchedServer) -> bool:
        """Return whether the server fits every key."""
        return (
            (not self.az or server.az in self.az)
            and (not self.flavor or server.flavor in self.flavor)
            and (not self.name or any(fnmatchcase(server.name, glob) for glob in self.name))
            and all(server.labels.get(label) in values for label, values in self.labels)
        )


ANY_SERVER = Match()
