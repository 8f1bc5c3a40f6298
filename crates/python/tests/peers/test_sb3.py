"""Agents of Stable-Baselines3 learn in the MDP, and earn more than random slates beyond chance."""

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from foretaste.gym import UsersVectorEnv
from foretaste.sb3 import UsersVecEnv
from mdp import ITEMS, USERS, K, beats_random

torch.set_num_threads(1)  # More do not make such small networks faster.


def make(n, action="slate", **settings):
    settings = {"k": K, "observation": "state", **settings}
    return UsersVecEnv(
        UsersVectorEnv(USERS, n, action=action, autoreset_mode="SameStep", **settings)
    )


def test_ppo_earns_more_than_random_slates():
    env = VecMonitor(make(64))
    agent = PPO("MlpPolicy", env, n_steps=64, batch_size=512, n_epochs=4, gamma=0.9, seed=0)
    agent.learn(80_000)
    beats_random(lambda observed, _: agent.predict(observed, deterministic=True)[0], "slate")


def test_maskable_ppo_fills_slates_without_a_repeated_item():
    env = make(64, "item")
    agent = MaskablePPO(
        "MlpPolicy", env, n_steps=96, batch_size=512, n_epochs=4, gamma=0.97, seed=0
    )
    agent.learn(120_000)

    def act(observed, env):
        return agent.predict(observed, action_masks=env.action_masks(), deterministic=True)[0]

    assert beats_random(act, "item") == 0


def test_the_last_of_a_session_is_in_its_info():
    """The same sessions as the environments have without the adapter."""
    env, plain = make(5, max_steps=2), make(5, max_steps=2).envs
    env.seed(7)
    assert env.reset().tolist() == plain.reset(seed=[7, 8, 9, 10, 11])[0].tolist()
    slate = np.tile([0, 1, 2], (5, 1))
    ended = {True: 0, False: 0}
    for _ in range(40):
        observed, rewards, done, infos = env.step(slate)
        theirs = plain.step(slate)
        assert observed.tolist() == theirs[0].tolist() and rewards.dtype == np.float32
        assert rewards.tolist() == theirs[1].tolist()
        assert done.tolist() == (theirs[2] | theirs[3]).tolist()
        for at, info in enumerate(infos):
            assert info["clicked"] == theirs[4]["clicked"][at]
            assert ("terminal_observation" in info) == ("TimeLimit.truncated" in info) == done[at]
            if done[at]:
                assert info["TimeLimit.truncated"] == theirs[3][at]
                assert info["terminal_observation"].tolist() == theirs[4]["final_obs"][at].tolist()
                assert info["session"] == theirs[4]["final_info"]["session"][at]
                ended[info["TimeLimit.truncated"]] += 1
    assert all(ended.values())


def test_attributes_and_masks_are_those_of_each_environment():
    env = make(3)
    assert env.get_attr("action_space", [0, 2]) == [env.action_space] * 2
    assert env.env_is_wrapped(VecMonitor) == [False] * 3
    env.reset()
    assert [mask.shape for mask in env.env_method("action_masks", indices=1)] == [(K * ITEMS,)]
    assert env.has_attr("action_masks") and not make(3, "scores").has_attr("action_masks")
    with pytest.raises(AttributeError, match="render"):
        env.env_method("render")
    with pytest.raises(AttributeError, match="other settings"):
        env.set_attr("k", 2)
    with pytest.raises(ValueError, match="expects autoreset_mode=AutoresetMode.SAME_STEP"):
        UsersVecEnv(UsersVectorEnv(USERS, 2))
