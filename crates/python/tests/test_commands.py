"""From a log to a recommender that is judged, and what stops on the way."""

import os
import signal
import threading
import time

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import foretaste
import foretaste.gym

LOG = "bundled:simulated-mdp.csv"


@pytest.fixture(scope="module")
def log():
    return foretaste.read_log(LOG)


@pytest.fixture(scope="module")
def users(log, tmp_path_factory):
    return foretaste.UserModel.fit(log, tmp_path_factory.mktemp("users") / "users", epochs=2)


def test_users_are_learned_and_trusted_as_far_as_they_say(users, log):
    assert users.report and (users.path / "users.json").exists()
    assert "<UserModel" in repr(users)


@pytest.mark.parametrize("action", ["slate", "scores", "item"])
def test_learned_users_are_an_environment(users, action):
    env = gymnasium.make(
        "foretaste/LearnedUsers-v0", users=os.fspath(users.path), action=action, k=3
    )
    check_env(env.unwrapped)
    vector = gymnasium.make_vec(
        "foretaste/LearnedUsers-v0",
        num_envs=5,
        vectorization_mode="vector_entry_point",
        users=os.fspath(users.path),
        action=action,
    )
    vector.reset(seed=1)
    vector.action_space.seed(1)
    rewards = sum(vector.step(vector.action_space.sample())[1] for _ in range(60))
    assert rewards.sum() > 0


def test_learned_users_play_the_same_sessions_again(users):
    def play():
        env = foretaste.gym.UsersVectorEnv(users.users(), 7, k=3)
        env.reset(seed=3)
        return [env.step(np.tile([0, 1, 2], (7, 1)))[1] for _ in range(12)]

    np.testing.assert_array_equal(play(), play())
    assert len(users.users().raw_items) == users.users().items


def test_a_recommender_is_trained_judged_and_asked(log, tmp_path):
    trained = foretaste.train(log, tmp_path / "popular", method="popularity")
    assert trained.report["to"] == os.fspath(tmp_path / "popular")
    again = foretaste.Recommender.load(trained.path)
    first, *rest = log.items
    for shown in again.recommend([[], [first], ["unknown"]], 4, act="top", exclude=[first]):
        assert len(shown) == len(set(shown)) == 4 and first not in shown
    assert again.recommend([[]], 9, candidates=rest[:2], act="top")[0] == sorted(
        rest[:2], key=again.recommend([[]], 1000, act="top")[0].index
    )
    assert again.recommend([[]] * 3, 4, seed=1) == again.recommend([[]] * 3, 4, seed=1)
    judged = foretaste.judge(log, {"ours": again, "uniform": "uniform"}, percent=50)
    assert [policy["policy"] for policy in judged["policies"]] == ["ours", "uniform"]


def test_arrays_and_functions_are_policies(log, tmp_path):
    """The logger of this log draws uniformly: who does the same earns the same."""
    k = log.impressions // log.steps
    uniform = 1.0 / (len(log.items) - np.arange(k))
    policies = {
        "array": np.tile(uniform, (log.steps, 1)),
        "function": lambda log: np.tile(uniform, log.steps),
        "uniform": "uniform",
    }
    judged = {policy["policy"]: policy for policy in foretaste.judge(log, policies)["policies"]}
    assert list(judged) == ["array", "function", "uniform"]
    earned = [
        {one["estimator"]: one["reward_per_slate"] for one in judged[name]["estimators"]}
        for name in judged
    ]
    assert earned[0] == earned[1]
    assert all(
        earned[2][estimator] == pytest.approx(value, rel=1e-5)
        for estimator, value in earned[0].items()
        if estimator in earned[2]
    )


@pytest.mark.parametrize(
    "policy, words",
    [
        (np.ones(3), "3 probabilities; expected"),
        (np.array(["a"]), "expected numbers of shape"),
        ("nowhere", "nowhere"),
    ],
)
def test_policies_that_make_no_sense_are_refused(log, policy, words):
    with pytest.raises(ValueError, match=words):
        foretaste.judge(log, [policy])


def test_probabilities_must_be_probabilities(log):
    for wrong in (np.nan, -0.5, 1.5):
        with pytest.raises(ValueError, match="policy"):
            foretaste.judge(log, [np.full(log.impressions, wrong)])


def test_misuse_is_said_in_the_programs_words(log, tmp_path):
    with pytest.raises(ValueError, match="method"):
        foretaste.train(log, tmp_path / "new", method="magic")
    with pytest.raises(ValueError, match="unexpected argument '--epoch'"):
        foretaste.train(log, tmp_path / "new", epoch=1)
    with pytest.raises(ValueError, match="contains no recommender"):
        foretaste.Recommender.load(tmp_path)
    assert not (tmp_path / "new").exists()


def test_ctrl_c_stops_a_training_that_goes_on_later(log, tmp_path, request):
    # A shell starts what it runs in the background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    to = tmp_path / "agent"
    settings = dict(method="pg", epochs=400)
    kept = lambda: list(to.glob("unfinished-*/latest.json"))  # noqa: E731

    def interrupt():
        while not to.exists():
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        foretaste.train(log, to, **settings)
    thread.join()
    assert kept() and not (to / "recommender.json").exists()
    with pytest.raises(ValueError, match="unfinished training with another log or other settings"):
        foretaste.train(log, to, **{**settings, "epochs": 2})
    # The flag is down again, and the log in memory is the same log.
    trained = foretaste.train(log, to, **settings)
    assert not kept() and trained.kind and (to / "recommender.json").exists()
