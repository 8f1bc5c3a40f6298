"""Lengths and rewards of episodes in each autoreset mode."""

import gymnasium
import numpy as np
import pytest
from conftest import leavers
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import foretaste
from foretaste.gym import UsersEnv, UsersVectorEnv

MODES = list(AutoresetMode)


def play(env, actions, steps, seed=0):
    """Episodes ``(reward, length, terminated)`` of each environment, and its real transitions."""
    mode = env.metadata["autoreset_mode"]
    env.reset(seed=seed)
    finished = [[] for _ in range(env.num_envs)]
    reward, length = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
    real, over = np.zeros(env.num_envs, int), np.zeros(env.num_envs, bool)
    for step in range(steps):
        _, rewards, terminated, truncated, _ = env.step(actions(step))
        took = ~over if mode == AutoresetMode.NEXT_STEP else np.ones_like(over)
        assert (rewards[~took] == 0).all() and not (terminated | truncated)[~took].any()
        real += took
        reward += rewards
        length += took
        over = terminated | truncated
        for at in np.flatnonzero(over):
            finished[at].append((reward[at], int(length[at]), bool(terminated[at])))
            reward[at], length[at] = 0, 0
        if mode == AutoresetMode.DISABLED and over.any():
            env.reset(options={"reset_mask": over})
            over = np.zeros_like(over)
    return finished, real


@pytest.mark.parametrize("length, steps", [(4, 23), (3, 8), (2, 8), (5, 5), (1, 7)])
def test_users_who_stay_end_at_the_limit(stayers, length, steps):
    whole = {mode: steps // length for mode in MODES}
    # Under next-step autoreset the step after an end is no transition.
    whole[AutoresetMode.NEXT_STEP] = (steps + 1) // (length + 1)
    for mode in MODES:
        env = UsersVectorEnv(stayers, 3, k=2, max_steps=length, autoreset_mode=mode)
        finished, real = play(env, lambda _: np.zeros((3, 2), int), steps)
        assert [len(episodes) for episodes in finished] == [whole[mode]] * 3
        assert all(
            episode == (length, length, False) for episodes in finished for episode in episodes
        )
        resets = 0 if mode != AutoresetMode.NEXT_STEP else steps - real[0]
        assert (real == steps - resets).all()
        if mode == AutoresetMode.NEXT_STEP:
            assert real[0] == steps - steps // (length + 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_users_who_leave_end_on_the_slate_on_which_they_leave(length, mode):
    env = UsersVectorEnv(leavers(length), 2, k=2, autoreset_mode=mode)
    finished, _ = play(env, lambda _: np.zeros((2, 2), int), 20)
    assert all(len(episodes) >= 20 // (length + 1) for episodes in finished)
    assert all(
        episode == (length - 1, length, True) for episodes in finished for episode in episodes
    )


def test_who_leaves_at_the_limit_left_and_was_not_cut():
    env = UsersEnv(leavers(3), k=2, max_steps=3)
    env.reset(seed=0)
    for _ in range(2):
        assert env.step([0, 1])[2:4] == (False, False)
    assert env.step([0, 1])[2:4] == (True, False)


def test_the_modes_play_the_same_episodes():
    users = foretaste.Users.mdp(states=4, items=8)
    played = []
    for mode in MODES:
        env = UsersVectorEnv(users, 5, k=3, max_steps=6, autoreset_mode=mode)
        # A fixed slate, because the steps at which an episode begins differ by mode.
        played.append(play(env, lambda _: np.tile([1, 4, 6], (5, 1)), 400)[0])
    for environment in range(5):
        episodes = [of_mode[environment] for of_mode in played]
        fewest = min(map(len, episodes))
        assert fewest > 50
        assert all(of_mode[:fewest] == episodes[0][:fewest] for of_mode in episodes)


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_in_force_is_declared(stayers, mode):
    env = gymnasium.make_vec(
        "foretaste/Mdp-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        autoreset_mode=mode.value,
    )
    assert env.metadata["autoreset_mode"] is mode


@pytest.mark.parametrize("action", ["slate", "scores", "item"])
@pytest.mark.parametrize("mode", MODES)
def test_side_by_side_is_one_by_one(mode, action):
    """The vector environment is as many single ones under Gymnasium's own vector environment."""
    users = foretaste.Users.mdp(states=4, items=8)
    settings = dict(k=3, max_steps=5, history=4, action=action)
    together = UsersVectorEnv(users, 4, autoreset_mode=mode, **settings)
    apart = SyncVectorEnv(
        [lambda: UsersEnv(users, **settings) for _ in range(4)], autoreset_mode=mode
    )
    seeds = [5, 7, 5, 11]
    assert together.single_action_space == apart.single_action_space
    assert together.single_observation_space == apart.single_observation_space
    same(together.reset(seed=seeds), apart.reset(seed=seeds))
    apart.action_space.seed(1)
    ended = 0
    for _ in range(60):
        actions = apart.action_space.sample()
        ours, theirs = together.step(actions), apart.step(actions)
        same(ours, theirs)
        over = ours[2] | ours[3]
        ended += over.sum()
        if mode == AutoresetMode.DISABLED and over.any():
            same(
                together.reset(options={"reset_mask": over}),
                apart.reset(options={"reset_mask": over}),
            )
    assert ended > 10


def same(ours, theirs):
    *ours, our_infos = ours
    *theirs, their_infos = theirs
    for our, their in zip(ours, theirs):
        assert our.dtype == their.dtype
        np.testing.assert_array_equal(our, their)
    assert listed(our_infos) == listed(their_infos)


def listed(infos):
    """What each environment is told, without what is not its own."""
    told = [{} for _ in range(4)]
    for name, value in infos.items():
        if not name.startswith("_"):
            values = listed(value) if isinstance(value, dict) else list(value)
            for environment in np.flatnonzero(infos["_" + name]):
                of_one = values[environment]
                told[environment][name] = of_one.tolist() if hasattr(of_one, "tolist") else of_one
    return told
