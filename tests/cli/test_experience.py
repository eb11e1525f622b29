"""What a run has learned of its cloud is there for the next one, however it was left."""

import signal
import sqlite3
from contextlib import closing

from fleetos.model.codec import experience_from
from fleetos.model.experience import Experience
from tests.cli.play import Play

LEAVES_WITHIN_S = 10.0


def remembered(play: Play) -> Experience:
    """What the database knows of the one cloud of this play."""
    with closing(sqlite3.connect(play.database)) as connection:
        ((body,),) = connection.execute("SELECT body FROM clouds").fetchall()
    return experience_from(body)


def test_an_interrupted_run_has_learned_for_the_next(play: Play) -> None:
    names = play.take(3)
    began = play.begin("apply", play.written(names, concurrency=1), "--yes")
    began.until("target.verifying")
    began.process.send_signal(signal.SIGINT)
    assert began.end(LEAVES_WITHIN_S).returncode == 130
    first = remembered(play)
    (durations,) = first.changes.values()
    assert len(durations) == 1
    # Durations are by the cloud's clock; the longest is what this process has seen, its wait for a look included.
    assert first.longest_change_s >= durations[0] > 0
    assert play.fleetos("resume").returncode == 0
    (durations,) = remembered(play).changes.values()
    assert len(durations) == 3
    assert remembered(play).longest_change_s >= max(durations)
