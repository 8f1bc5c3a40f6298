"""Users whose sessions are known in advance."""

import numpy as np
import pytest

import foretaste


@pytest.fixture
def stayers() -> foretaste.Users:
    """Users who choose an item of every slate and never leave."""
    return foretaste.Users.choice_users(items=6, leaving=None)


def leavers(length: int, items: int = 4) -> foretaste.Users:
    """Users who click on every slate but the last of so many, on which they leave."""
    rewards = np.ones((length, items))
    rewards[-1] = 0.0
    transitions = np.zeros((length, items, length))
    for state in range(length):
        transitions[state, :, min(state + 1, length - 1)] = 1.0
    return foretaste.Users.mdp(rewards=rewards, transitions=transitions)
