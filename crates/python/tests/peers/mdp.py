"""The MDP that agents learn in, and whether one earns more in it than random slates."""

import numpy as np

import foretaste
from foretaste.gym import UsersVectorEnv

ITEMS, K = 10, 3
SETTINGS = {"states": 5, "items": ITEMS, "users_seed": 1}
USERS = foretaste.Users.mdp(**SETTINGS)


def played(act, seed, n=200, action="slate"):
    """What the first session of each of `n` environments earns, and the places repaired."""
    env = UsersVectorEnv(
        USERS, n, k=K, action=action, observation="state", autoreset_mode="SameStep"
    )
    observed, _ = env.reset(seed=[seed * n + at for at in range(n)])
    earned, on, repaired = np.zeros(n), np.ones(n, bool), 0
    while on.any():
        observed, rewards, left, cut, info = env.step(act(observed, env))
        earned += rewards * on
        repaired += info["repaired"].sum()
        on &= ~(left | cut)
    return earned.mean(), repaired


def beats_random(act, action="slate"):
    """Twelve seeds of 200 sessions each, paired: the mean difference is more than 4.44 standard
    errors above 0. By Student's distribution of 11 degrees of freedom, an agent no better than
    random slates passes once in 2,000. Returns the places repaired."""
    draws = np.random.default_rng(0)

    def at_random(observed, env):
        if action == "item":
            masks = env.action_masks()
            return (draws.random(masks.shape) * masks).argmax(axis=1)
        return draws.random((len(observed), ITEMS)).argsort(axis=1)[:, :K]

    ours = np.array([played(act, seed, action=action) for seed in range(1, 13)])
    random = np.array([played(at_random, seed, action=action)[0] for seed in range(1, 13)])
    gain = ours[:, 0] - random
    assert gain.mean() > 4.44 * gain.std(ddof=1) / np.sqrt(len(gain)), gain
    return ours[:, 1].sum()
