"""Time that a change needs in its window, by what was learned of its stop and of the change itself."""

from fleetos.engine.change_tracker import ChangeTracker, change_key
from fleetos.limits import CHANGE_DOCUMENTED_MAX_S
from fleetos.model.run import Run, Target
from fleetos.rules.admission.pass_facts import Point, no_need, one_kind
from fleetos.rules.windows import Stage, needed_s

_WAS_DOWN = "/down"


class ChangeNeeds:
    """Times that the changes of one run need. Zero where the run has no windows."""

    def __init__(self, run: Run, changes: ChangeTracker) -> None:
        self._settings = run.settings
        self._changes = changes
        self._windows = run.steering.windows
        self.kind_of = one_kind if self._windows is None else _kind_of
        """Kind of the change of a target: changes of one kind need the same time."""
        self.need_s = no_need if self._windows is None else self._need_s
        """Time that a change of a kind still needs from a point on, in seconds: its stop, and the change itself."""

    def _need_s(self, kind: str, point: Point) -> float:
        settings, windows = self._settings, self._windows
        if windows is None:
            return 0.0
        change = self._changes.learned_changes(kind.removesuffix(_WAS_DOWN))
        stages = [Stage(change, min(settings.change_timeout_s, CHANGE_DOCUMENTED_MAX_S))]
        if point is not Point.SUBMIT and not kind.endswith(_WAS_DOWN):
            stages.append(Stage(self._changes.learned_stops(), settings.stop_timeout_s))
        return needed_s(windows.fit, stages)


def _kind_of(target: Target) -> str:
    return change_key(target) + ("" if target.ran_before else _WAS_DOWN)
