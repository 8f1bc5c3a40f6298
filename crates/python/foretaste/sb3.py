"""Users as a vector environment of Stable-Baselines3.

``UsersVecEnv(UsersVectorEnv(users, 64, autoreset_mode="SameStep", ..))`` is what the algorithms of
Stable-Baselines3, and MaskablePPO of sb3_contrib, learn in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as missing:
    raise ImportError(
        "foretaste.sb3 needs Stable-Baselines3: pip install 'foretaste[sb3]'"
    ) from missing
from gymnasium.vector import AutoresetMode

from foretaste.gym import UsersVectorEnv

__all__ = ["UsersVecEnv"]

# What `info` has of every step.
_STEP = ("clicks", "clicked", "reward", "repaired", "session")


class UsersVecEnv(VecEnv):
    """A :class:`~foretaste.gym.UsersVectorEnv` as a ``VecEnv`` of Stable-Baselines3.

    All sessions are stepped in one call. A session that ended gives way to the next on the same
    step; its last observation is ``infos[i]["terminal_observation"]``, and
    ``infos[i]["TimeLimit.truncated"]`` says whether it was cut. The other entries of an info are
    those of :mod:`foretaste.gym`, of the step that was made.

    Args:
        envs: the environments, with ``autoreset_mode`` ``SAME_STEP``.
    """

    def __init__(self, envs: UsersVectorEnv):
        if not isinstance(envs, UsersVectorEnv):
            raise ValueError(f"envs: {type(envs).__name__}; expected a UsersVectorEnv")
        mode = envs.metadata["autoreset_mode"]
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"envs: sessions give way by {mode}; Stable-Baselines3 expects "
                "autoreset_mode=AutoresetMode.SAME_STEP"
            )
        self.envs = envs
        self._actions: Any = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Begins the next session of every environment. After ``seed(s)`` environment ``i`` begins
        with the first session of seed ``s + i``."""
        if any(self._options):
            raise ValueError("options: these environments have none")
        seeds = None if None in self._seeds else self._seeds
        observations, infos = self.envs.reset(seed=seeds)
        self.reset_infos = [{"session": int(session)} for session in infos["session"]]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Takes the actions that :meth:`step_wait` shows."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Observations, rewards (float32), whether sessions ended, and infos."""
        observations, rewards, terminated, truncated, info = self.envs.step(self._actions)
        done = terminated | truncated
        columns = [info[name].tolist() for name in _STEP]
        infos = [dict(zip(_STEP, row)) for row in zip(*columns)]
        for at in np.flatnonzero(done):
            infos[at]["session"] = int(info["final_info"]["session"][at])
            infos[at]["terminal_observation"] = info["final_obs"][at]
            infos[at]["TimeLimit.truncated"] = bool(truncated[at])
        return observations, rewards.astype(np.float32), done, infos

    def close(self) -> None:
        """Ends all sessions for good."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the environments, the same of each of them."""
        if attr_name in ("observation_space", "action_space"):
            value = getattr(self, attr_name)
        elif attr_name == "action_masks" and self.envs.single_action_space.dtype == np.float32:
            raise AttributeError("action_masks: scores have no mask")
        else:
            value = getattr(self.envs, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the settings of environments that are stepped together cannot be changed."""
        raise AttributeError(
            f"{attr_name}: the environments are one; make others with other settings"
        )

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """``action_masks``, the only method that environments have each: what MaskablePPO asks
        for."""
        if method_name != "action_masks" or method_args or method_kwargs:
            raise AttributeError(f"{method_name}: the environments have only action_masks()")
        masks = self.envs.action_masks()
        return [masks[at] for at in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """False of each: nothing is wrapped around a single environment."""
        return [False for _ in self._get_indices(indices)]
