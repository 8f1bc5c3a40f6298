"""An algorithm of RLlib learns in the MDP on a local Ray, by the way of docs/python.md."""

import pytest
import torch
from mdp import SETTINGS, K, beats_random
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.tune.registry import register_env

import foretaste.gym


def config(envs):
    """PPO that steps `envs` environments in one call."""
    register_env("foretaste-mdp", lambda settings: foretaste.gym.mdp_vector(**settings))
    settings = {**SETTINGS, "k": K, "observation": "state", "threads": 1}
    return (
        PPOConfig()
        .environment("foretaste-mdp", env_config=settings)
        .env_runners(
            num_env_runners=1,
            num_envs_per_env_runner=envs,
            gym_env_vectorize_mode="vector_entry_point",
            env_to_module_connector=lambda env, spaces, device: FlattenObservations(),
        )
        .training(
            gamma=0.9,
            lr=1e-3,
            train_batch_size_per_learner=4096,
            minibatch_size=512,
            num_epochs=4,
        )
        .debugging(seed=0)
    )


@pytest.mark.usefixtures("cluster")
def test_ppo_of_rllib_earns_more_than_random_slates():
    algo = config(64).build_algo()
    try:
        for _ in range(8):
            runners = algo.train()["env_runners"]
        # A user of the MDP leaves on the first slate that earns nothing.
        assert runners["episode_len_mean"] == pytest.approx(runners["episode_return_mean"] + 1)
        module = algo.get_module()
    finally:
        algo.stop()

    def act(observed, _):
        one_hot = torch.nn.functional.one_hot(torch.as_tensor(observed[:, 0]), SETTINGS["states"])
        with torch.no_grad():
            out = module.forward_inference({"obs": one_hot.float()})["action_dist_inputs"]
        return out.numpy().reshape(len(observed), K, -1).argmax(axis=2)

    beats_random(act)
