from niwt_tf.config.settings import Settings
from niwt_tf.methods.task import Task


def test_other_options_leave_what_was_kept_and_nothing_that_was_made():
    task = Task(Settings(), None, None, None)
    task.keep("stage", 1)
    assert task.cached("stage", lambda: 2) == 1
    assert task.cached("made", lambda: 3) == task.cached("made", lambda: 4) == 3
    other = task.with_settings(Settings(seed=5))
    assert (other.settings.seed, other.cached("stage", lambda: 6), other.cached("made", lambda: 7)) == (5, 1, 7)
    other.keep("stage", 8)
    assert task.cached("stage", lambda: 9) == 1
