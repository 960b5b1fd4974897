"""Early stopping: what it decides, and that it decides the same in whatever order results arrive."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.scale.halving import Standing, standings
from kikibouba.scale.sweep_board import DEATHS, Board, Job


def play(values, rungs, factor, choose, workers):
    """Run a made-up sweep with some workers; `choose` picks which of the running jobs ends next."""
    board = Board([list(range(1, rungs + 1))] * len(values), [[] for _ in values], "min", factor)
    running, began = [], []
    while True:
        while len(running) < workers and (job := board.next_job()) is not None:
            running.append(job)
            began.append(job)
        if not running:
            assert board.over
            return board, began
        job = running.pop(choose(len(running)))
        value = values[job.trial][job.rung]
        board.settle(job, {"error": "broken"} if value == inf else {"value": value})


def test_half_of_the_best_go_on():
    found = standings([[5.0, 4.0], [3.0, 3.5], [4.0], [2.0, 9.0], [1.0]], 2, 2)
    # at the first rung: 5 is the best of 1; 3 of 2; 4 is second of 3, one goes on; 2 first of 4; 1 first of 5
    assert [s.kind for s in found] == ["finished", "finished", "stopped", "finished", "ready"]
    assert found[2] == Standing("stopped", 0)
    assert found[4] == Standing("ready", 1)


def test_waits_for_earlier_trials_only():
    found = standings([[], [1.0], [3.0]], 3, 2)
    assert [(s.kind, s.rung) for s in found] == [("ready", 0), ("waiting", 0), ("waiting", 0)]
    found = standings([[2.0], [1.0], []], 3, 2)
    assert [(s.kind, s.rung) for s in found] == [("ready", 1), ("ready", 1), ("ready", 0)]


def test_of_equal_trials_the_first_goes_on():
    assert [s.kind for s in standings([[1.0, 1.0], [1.0]], 2, 2)] == ["finished", "stopped"]


def test_a_failure_is_worse_than_anything():
    assert [s.kind for s in standings([[inf], [7.0]], 2, 2)] == ["failed", "ready"]


def test_without_early_stopping_all_finish():
    assert {s.kind for s in standings([[3.0], [1.0], [2.0]], 1, 3)} == {"finished"}


numbers = st.one_of(st.integers(0, 5).map(float), st.just(inf))


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=12),
    factor=st.integers(2, 4),
    workers=st.integers(1, 6),
    data=st.data(),
)
def test_any_order_of_arrival_gives_the_same_result(values, factor, workers, data):
    in_turn, _ = play(values, 3, factor, lambda n: 0, 1)
    shuffled, began = play(values, 3, factor, lambda n: data.draw(st.integers(0, n - 1)), workers)
    assert in_turn.standings() == shuffled.standings()
    assert len(began) == len(set(began)), "a job was begun twice"
    assert all(s.kind in ("finished", "stopped", "failed") for s in in_turn.standings())


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=2, max_size=12),
    cut=st.integers(1, 11),
)
def test_later_trials_change_nothing_for_earlier_ones(values, cut):
    few, _ = play(values[:cut], 3, 2, lambda n: 0, 1)
    many, _ = play(values, 3, 2, lambda n: 0, 2)
    assert many.standings()[: len(values[:cut])] == few.standings()


def test_about_one_of_factor_goes_on():
    values = [[float((37 * i) % 101), 0.0, 0.0] for i in range(101)]
    _, began = play(values, 3, 4, lambda n: 0, 3)
    assert 20 <= sum(job.rung == 1 for job in began) <= 35


def test_a_goal_of_max_keeps_the_largest():
    board = Board([[1, 2]] * 2, [[0.5], [0.9]], "max", 2)
    assert [s.kind for s in board.standings()] == ["ready", "ready"]
    board = Board([[1, 2]] * 2, [[0.9], [0.5]], "max", 2)
    assert [s.kind for s in board.standings()] == ["ready", "stopped"]
    assert board.outcomes()[1][1:] == (1, 0.5)


def test_a_trial_that_kills_its_process_fails_in_the_end_and_others_go_on():
    board = Board([[10]] * 2, [[], []], "min", 2)
    for death in range(DEATHS):
        job = board.next_job()
        assert job == Job(0, 0)
        note = board.settle(job, {"died": "signal 9", "step": 5})
        assert ("goes on from step 5" in note) == (death < DEATHS - 1)
    assert board.standings()[0].kind == "failed"
    assert board.outcomes()[0][1:] == (0, None)
    assert board.next_job() == Job(1, 0)


def test_machines_may_be_lost_as_often_as_they_like_while_a_trial_gets_on():
    board = Board([[10]], [[]], "min", 2)
    for step in range(10):
        board.settle(board.next_job(), {"died": "its machine was lost", "step": step})
    assert board.next_job() == Job(0, 0)


@pytest.mark.parametrize("answer", [{"halt": "the disk is full"}, {"interrupted": True}])
def test_what_concerns_all_trials_ends_the_sweep(answer):
    board = Board([[10]] * 3, [[], [], []], "min", 2)
    board.settle(board.next_job(), answer)
    assert board.next_job() is None
    assert board.over


def test_not_a_number_is_a_failure():
    board = Board([[10]], [[]], "min", 2)
    assert "not a number" in board.settle(board.next_job(), {"value": float("nan")})
