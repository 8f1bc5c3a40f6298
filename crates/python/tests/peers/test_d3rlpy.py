"""A log is a data set of d3rlpy, and what d3rlpy learned from it is judged by the log."""

import d3rlpy
import numpy as np
import pyarrow
import pytest
import torch
from gymnasium import spaces

import foretaste
from foretaste.gym import UsersEnv
from foretaste.d3rlpy import dataset, policy

torch.set_num_threads(1)  # More do not make such small networks faster.

ROWS = {
    "session": ["s1", "s1", "s1", "s2"],
    "shown": [["a", "b"], ["c", "a"], ["b", "c"], ["c", "b"]],
    "chosen": ["b", "c", None, "c"],
    "reward": [1.0, 2.0, 0.0, 1.0],
    "left": [False, False, True, False],
}


def log_of(**changes):
    return foretaste.Log.from_arrow(pyarrow.table({**ROWS, **changes}), name="mine")


def played(users, sessions, k, **settings):
    """A log of uniformly random slates, and what the environment observed before each item."""
    env = UsersEnv(users, k=k, action="item", **settings)
    draws = np.random.default_rng(0)
    rows, observations = [], []
    for session in range(sessions):
        observed, info = env.reset(seed=3 if session == 0 else None)
        ended = False
        while not ended:
            slate = []
            for _ in range(k):
                observations.append(spaces.flatten(env.observation_space, observed))
                item = int(draws.choice(np.flatnonzero(info["action_mask"])))
                slate.append(str(item))
                observed, reward, left, cut, info = env.step(item)
            ended = left or cut
            chosen = str(info["clicked"]) if info["clicks"] else None
            rows.append((f"s{session}", slate, chosen, reward, left))
    columns = ["session", "shown", "chosen", "reward", "left"]
    table = pyarrow.table(dict(zip(columns, map(list, zip(*rows)))))
    uniform = 1.0 / (users.items - np.arange(k))
    propensity = pyarrow.array([uniform.tolist()] * len(rows))
    log = foretaste.Log.from_arrow(table.append_column("propensity", propensity), name="played")
    return log, np.array(observations)


def test_episodes_are_sessions_and_transitions_are_places():
    data = dataset(log_of(), history=2)
    assert [episode.size() for episode in data.episodes] == [6, 2]
    assert [episode.terminated for episode in data.episodes] == [True, False]
    first, second = data.episodes
    assert first.actions.ravel().tolist() == [0, 1, 2, 0, 1, 2]
    assert first.rewards.ravel().tolist() == [0, 1, 0, 2, 0, 0]
    assert second.actions.ravel().tolist() == [2, 1]
    # Two clicks and one place, of a, b, c or none (3).
    numbers = first.observations.reshape(6, 3, 4).argmax(axis=2)
    assert numbers.tolist() == [
        [3, 3, 3], [3, 3, 0], [1, 3, 3], [1, 3, 2], [2, 1, 3], [2, 1, 1],
    ]  # fmt: skip
    assert (first.observations.reshape(6, 3, 4).sum(axis=2) == 1).all()
    assert data.dataset_info.action_size == 3
    assert [one.terminated for one in dataset(log_of(), terminal="last").episodes] == [True, True]
    assert len(dataset(log_of(), percent=50).episodes) == 1


def test_observations_are_those_of_the_environments():
    log, observed = played(foretaste.Users.mdp(states=3, items=6), 40, 3, history=4)
    # The log numbers its items as they appear.
    order = [*map(int, log.items), len(log.items)]
    assert sorted(order) == list(range(7))
    theirs = observed.reshape(len(observed), -1, 7)[:, :, order]
    ours = np.concatenate([one.observations for one in dataset(log, history=4).episodes])
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, theirs.reshape(len(theirs), -1))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"shown": [["a", "b"], ["c", "a"], ["b", "c"], ["c"]]}, "1 to 2 items"),
        ({"chosen": [["b"], ["c", "a"], [], ["c"]], "reward": [1.0, 1.0, 0.0, 1.0]},
         "1 slates of several clicks"),
        ({"candidates": [["a", "b", "c"]] * 4}, "4 slates with candidates"),
        ({"left": [False] * 4}, 'terminal="last"'),
        ({"event": [None, "view", None, None], "shown": [["a", "b"], None, ["b", "c"], ["c", "b"]],
          "reward": [1.0, None, 0.0, 1.0], "left": [False, None, True, False]},
         "1 events without slates"),
    ],
)  # fmt: skip
def test_logs_that_cannot_be_expressed_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        dataset(log_of(**changes))


@pytest.mark.parametrize(
    "settings, words",
    [({"percent": 0}, "percent 0"), ({"history": -1}, "history -1"), ({"terminal": "x"}, "'x'"),
     ({"percent": 49}, "49% of 2 sessions")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        dataset(log_of(), **settings)


class Valued:
    """Values of three items that do not depend on what is observed."""

    action_size, observation_shape = 3, (12,)

    def predict_value(self, observed, actions):
        assert observed.shape == (len(actions), 12)
        return np.log([1.0, 2.0, 5.0])[actions]


def test_a_policy_fills_slates_with_items_that_are_not_on_them():
    drawn = policy(Valued(), history=2, temperature=1.0)(log_of())
    np.testing.assert_allclose(
        drawn, [[1 / 8, 2 / 7], [5 / 8, 1 / 3], [2 / 8, 5 / 6], [5 / 8, 2 / 3]]
    )
    greedy = policy(Valued(), history=2)(log_of())
    assert greedy.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    with pytest.raises(ValueError, match=r"history=3, observations of shape \(16,\)"):
        policy(Valued(), history=3)(log_of())
    with pytest.raises(ValueError, match="temperature -1"):
        policy(Valued(), temperature=-1)


def test_cql_learns_from_random_slates_to_earn_more():
    """It is judged by the half of the sessions that it did not learn from."""
    users = foretaste.Users.shop(items=6, tastes=2, appeal=0.1, users_seed=1)
    log, _ = played(users, 1500, 2, history=3)
    d3rlpy.seed(0)
    cql = d3rlpy.algos.DiscreteCQLConfig(
        gamma=0.9, learning_rate=1e-3, batch_size=128, target_update_interval=100
    ).create()
    cql.fit(
        dataset(log, percent=50, history=3),
        n_steps=2000,
        n_steps_per_epoch=2000,
        show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )
    policies = {"cql": policy(cql, history=3, temperature=0.2), "cql-best": policy(cql, history=3)}
    judged = foretaste.judge(log, policies, percent=50)["policies"]
    verdicts = {one["policy"]: one["verdict"] for one in judged}
    # Few slates of a random log are those of a policy that does not draw.
    assert verdicts == {"cql": "better", "cql-best": "do not decide by this log"}, judged
