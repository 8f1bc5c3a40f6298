"""Users as Gymnasium environments: simulated users, whose truth is known, and learned ones.

Importing this module registers ``foretaste/Mdp-v0``, ``foretaste/ChoiceUsers-v0``,
``foretaste/Shop-v0`` and ``foretaste/LearnedUsers-v0``, for ``gymnasium.make`` and, with
``vectorization_mode="vector_entry_point"``, for ``gymnasium.make_vec``.

An episode is a session of one user. A step shows a slate of ``k`` distinct items out of ``n``;
its reward is the log's. ``terminated`` says that the user left, ``truncated`` that the session was
cut after ``max_steps`` slates.

**Actions**, by ``action=``:

* ``"slate"``: ``MultiDiscrete([n] * k)``, the items from the first place on. The first of equal
  items keeps its place; a repeated item, or one of ``exclude``, is replaced by the smallest item
  that may be shown and is nowhere on the slate. ``info["repaired"]`` counts these places.
* ``"scores"``: ``Box(-1, 1, (n,), float32)``; the ``k`` items of the highest scores are shown, the
  highest first, and of equals the smaller item first. Only the order counts, so that scores beyond
  the bounds are taken too; NaN is not.
* ``"item"``: ``Discrete(n)``; the slate is filled item by item, and shown when it is full. The
  steps before that earn 0. ``info["action_mask"]``, ``[n]`` of int8, says which items are left;
  another is repaired as above.

**Observations**, by ``observation=``: a ``MultiDiscrete`` of int64, shape ``(width,)``.

* ``"history"``: the ``history`` items clicked last, newest first; ``n`` stands for none.
* ``"state"``: the hidden state of users who have one that is a number (``Mdp``, ``Shop``).

With ``action="item"`` the first ``k - 1`` places of the slate follow, ``n`` for empty ones.

**Info** of a step: ``clicks`` (0 or 1), ``clicked`` (the item, or -1), ``reward`` (the log's),
``repaired``, ``session``; of a reset: ``session``. With ``regret=True``, for
``Users.mdp`` and ``Users.choice_users``, also ``regret``: by how much the slate that was shown
lowers the expected reward of a session that goes on with the best slates, in the MDP without being
cut and in choice users until ``max_steps``. ``Users.optimum`` is the most that a session can be
expected to earn; what a policy earns falls short of it by the sum of its regrets, on average.

**Seeds.** After ``reset(seed=s)`` episode ``e`` of environment ``i`` is session ``i * 2**32 + e``
of the seed: the same whatever the number of environments and of threads. The single environment is
environment 0; ``reset(seed=s, options={"session": number})`` replays any session in it, with the
same actions to the same end.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

try:
    import gymnasium
except ImportError as missing:
    raise ImportError("foretaste.gym needs Gymnasium: pip install 'foretaste[gym]'") from missing
from gymnasium import spaces
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from foretaste._core import Environments, Users

__all__ = ["UsersEnv", "UsersVectorEnv"]

_MODES = {
    AutoresetMode.NEXT_STEP: "next_step",
    AutoresetMode.SAME_STEP: "same_step",
    AutoresetMode.DISABLED: "disabled",
}


class UsersEnv(EzPickle, gymnasium.Env):
    """One user after the other as a Gymnasium environment; see the module.

    Args:
        users: who answers the slates.
        k: items on a slate; as most slates have that learned users learned from, else 10.
        action: ``"slate"``, ``"scores"`` or ``"item"``.
        observation: ``"history"`` or ``"state"``.
        history: clicks that are observed.
        max_steps: slates after which a session is cut; the longest session of learned users, else
            1,000.
        exclude: items that are never shown.
        regret: whether ``info`` has the regret of each slate; for ``Users.mdp`` and
            ``Users.choice_users``.

    A pickle or a copy holds the settings, not the session: reset it first.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        users: Users,
        *,
        k: int | None = None,
        action: str = "slate",
        observation: str = "history",
        history: int = 10,
        max_steps: int | None = None,
        exclude: Sequence[int] = (),
        regret: bool = False,
        render_mode: None = None,
    ):
        EzPickle.__init__(
            self,
            users,
            k=k,
            action=action,
            observation=observation,
            history=history,
            max_steps=max_steps,
            exclude=exclude,
            regret=regret,
        )
        self._parts = _Parts(
            users, k, action, observation, history, max_steps, exclude, regret
        )
        self._core = self._parts.core(1, AutoresetMode.DISABLED, None)
        self.users = users
        self.observation_space = self._parts.observation_space
        self.action_space = self._parts.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins the next session of the seed, or the first of a new one.

        ``options={"session": number}`` begins that session of the given seed.
        """
        super().reset(seed=seed)
        session = _only(options, "session").get("session", 0)
        if session and seed is None:
            raise ValueError("options: a session is one of a seed; give seed= as well")
        if seed is None and self._core.begun:
            moment = self._core.reset_some(np.ones(1, bool), None, [])
        else:
            seed = _drawn(self) if seed is None else seed
            moment = self._core.reset([seed], [session])
        return moment[0][0], self._info({}, moment)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Shows a slate, or fills one place of it."""
        moment = self._core.step(self._parts.actions(action, None))
        observations, rewards, terminated, truncated, clicked, repaired = moment[:6]
        item, reward = int(clicked[0]), float(rewards[0])
        info = {
            "clicks": int(item >= 0),
            "clicked": item,
            "reward": reward,
            "repaired": int(repaired[0]),
        }
        if self._parts.regret:
            info["regret"] = float(moment[10][0])
        info = self._info(info, moment)
        return observations[0], reward, bool(terminated[0]), bool(truncated[0]), info

    def action_masks(self) -> np.ndarray:
        """Which items may be chosen: bool of shape ``(k * n,)``, the places one after the other, or
        ``(n,)`` where items are chosen one by one; what MaskablePPO of sb3_contrib asks for."""
        self._parts.masked()
        return self._core.masks()[0]

    def close(self) -> None:
        """Ends the session for good; more than once does no harm."""
        self._core.close()

    def _info(self, info: dict[str, Any], moment: tuple) -> dict[str, Any]:
        info["session"] = int(moment[6][0])
        if self._parts.action == "item":
            info["action_mask"] = self._core.masks()[0].astype(np.int8)
        return info

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.spec = state.get("spec")

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "spec": self.spec}


class UsersVectorEnv(EzPickle, VectorEnv):
    """Many users side by side as a vector environment of Gymnasium; see the module.

    All sessions are stepped in one call, on as many threads as there are cores, or ``threads``;
    ``RAYON_NUM_THREADS`` says how many where ``threads`` does not. The other arguments are those of
    :class:`UsersEnv`.

    Args:
        users: who answers the slates.
        num_envs: number of environments.
        autoreset_mode: when a session that ended gives way to the next. ``NEXT_STEP``: on the step
            after, whose action is ignored and whose reward is 0. ``SAME_STEP``: at once;
            ``info["final_obs"]`` and ``info["final_info"]`` hold the last of the old session.
            ``DISABLED``: on ``reset(options={"reset_mask": mask})``; a step before that is refused.

    Parts of ``info`` are arrays ``[num_envs]``, with a mask of the same name behind ``_`` for those
    environments that have it. Their course does not depend on the number of threads; that of
    learned users may differ in the last bits of a probability with ``num_envs``.
    """

    def __init__(
        self,
        users: Users,
        num_envs: int = 1,
        *,
        k: int | None = None,
        action: str = "slate",
        observation: str = "history",
        history: int = 10,
        max_steps: int | None = None,
        exclude: Sequence[int] = (),
        regret: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
        render_mode: None = None,
    ):
        EzPickle.__init__(
            self,
            users,
            num_envs,
            k=k,
            action=action,
            observation=observation,
            history=history,
            max_steps=max_steps,
            exclude=exclude,
            regret=regret,
            autoreset_mode=autoreset_mode,
            threads=threads,
        )
        self._mode = AutoresetMode(autoreset_mode)
        self._parts = _Parts(
            users, k, action, observation, history, max_steps, exclude, regret
        )
        self._core = self._parts.core(num_envs, self._mode, threads)
        self.users = users
        self.num_envs = num_envs
        self.metadata = {"render_modes": [], "autoreset_mode": self._mode}
        self.single_observation_space = self._parts.observation_space
        self.single_action_space = self._parts.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins the next session of every environment, or the first of a new seed.

        ``seed`` is one number, or one for each environment, which is then environment 0 of its
        seed. ``options={"reset_mask": mask}``, bool of shape ``(num_envs,)``, leaves the
        environments alone where it is False.
        """
        super().reset(seed=seed if isinstance(seed, (int, np.integer)) else None)
        mask = self._mask(_only(options, "reset_mask").get("reset_mask"))
        begun = self._core.begun
        if mask is not None and not begun:
            raise gymnasium.error.ResetNeeded(
                "reset_mask: there is no session yet that could go on; reset without it first"
            )
        if seed is None and not begun:
            seed = _drawn(self)
        if seed is None:
            seeds, sessions = None, []
        elif isinstance(seed, (int, np.integer)):
            seeds = [int(seed)] * self.num_envs
            sessions = range(0, self.num_envs << 32, 1 << 32)
        else:
            seeds = [_drawn(self) if one is None else int(one) for one in seed]
            sessions = [0] * self.num_envs
        which = np.ones(self.num_envs, bool) if mask is None else mask
        if begun and (mask is not None or seeds is None):
            moment = self._core.reset_some(which, seeds, sessions)
        else:
            moment = self._core.reset(seeds, sessions)
        infos: dict[str, Any] = {"session": moment[6], "_session": which.copy()}
        return moment[0], self._masks(infos, which)

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Steps every environment; an action is ignored where it only begins a session."""
        (
            observations,
            rewards,
            terminated,
            truncated,
            clicked,
            repaired,
            sessions,
            real,
            last,
            last_sessions,
            regrets,
        ) = self._core.step(self._parts.actions(actions, self.num_envs))
        infos = {
            "clicks": (clicked >= 0).astype(np.int64),
            "clicked": clicked,
            "reward": rewards.copy(),
            "repaired": repaired,
        }
        if self._parts.regret:
            infos["regret"] = regrets
        of_step = tuple(infos)
        if len(last):
            done = terminated | truncated
            final = {name: of.copy() for name, of in infos.items()}
            if self._parts.action == "item":
                # After a session's end and before the next one's begin the slate is empty.
                final["action_mask"] = self._core.masks().astype(np.int8)
            final["session"] = np.zeros_like(sessions)
            final["session"][done] = last_sessions
            final.update({f"_{name}": done for name in tuple(final)})
            observed = np.full(self.num_envs, None, dtype=object)
            observed[done] = np.fromiter(last, dtype=object, count=len(last))
            real &= ~done
            infos.update(
                {
                    "final_obs": observed,
                    "_final_obs": done,
                    "final_info": final,
                    "_final_info": done,
                }
            )
        infos["session"] = sessions
        for name in of_step:
            infos["_" + name] = real
        everywhere = np.ones(self.num_envs, bool)
        infos["_session"] = everywhere
        return observations, rewards, terminated, truncated, self._masks(infos, everywhere)

    def action_masks(self) -> np.ndarray:
        """Which items may be chosen: bool of shape ``(num_envs, k * n)``, or ``(num_envs, n)``
        where items are chosen one by one."""
        self._parts.masked()
        return self._core.masks()

    def close_extras(self, **kwargs: Any) -> None:
        """Ends all sessions for good."""
        # There is no core where the settings were refused.
        if core := getattr(self, "_core", None):
            core.close()

    def _masks(self, infos: dict[str, Any], where: np.ndarray) -> dict[str, Any]:
        if self._parts.action == "item":
            infos["action_mask"] = self._core.masks().astype(np.int8)
            infos["_action_mask"] = where
        return infos

    def _mask(self, mask: Any) -> np.ndarray | None:
        if mask is None:
            return None
        if (
            not isinstance(mask, np.ndarray)
            or mask.dtype != bool
            or mask.shape != (self.num_envs,)
            or not mask.any()
        ):
            found = f"{mask.dtype} of shape {mask.shape}" if isinstance(mask, np.ndarray) else mask
            raise ValueError(
                f"reset_mask: {found}; expected an array of bool of shape ({self.num_envs},), at "
                "least one of them True"
            )
        return mask

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.spec = state.get("spec")

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "spec": self.spec}


class _Parts:
    """What both forms of the environment share: spaces, and actions as the core takes them."""

    def __init__(
        self,
        users: Users,
        k: int | None,
        action: str,
        observation: str,
        history: int,
        max_steps: int | None,
        exclude: Sequence[int],
        regret: bool,
    ):
        if observation not in ("history", "state"):
            raise ValueError(f'observation {observation!r}; expected "history" or "state"')
        usual, longest = users.usual
        self.users = users
        self.k = k if k is not None else usual or min(10, users.items)
        self.action = action
        self.history = history if observation == "history" else None
        self.max_steps = max_steps if max_steps is not None else longest or 1_000
        self.exclude = [int(item) for item in exclude]
        self.regret = bool(regret)
        # It checks the settings, and the spaces follow from them.
        self.core(1, AutoresetMode.DISABLED, None)
        seen = [users.states] if self.history is None else [users.items + 1] * history
        if action == "item":
            seen += [users.items + 1] * (self.k - 1)
            self.action_space = spaces.Discrete(users.items)
        elif action == "slate":
            self.action_space = spaces.MultiDiscrete([users.items] * self.k)
        else:
            self.action_space = spaces.Box(-1, 1, (users.items,), np.float32)
        self.observation_space = spaces.MultiDiscrete(seen)

    def core(self, n: int, mode: AutoresetMode, threads: int | None) -> Environments:
        return Environments(
            self.users,
            n,
            k=self.k,
            action=self.action,
            history=self.history,
            max_steps=self.max_steps,
            exclude=self.exclude,
            regret=self.regret,
            autoreset=_MODES[mode],
            threads=threads,
        )

    def actions(self, actions: Any, n: int | None) -> np.ndarray:
        """The actions of ``n`` environments, or of a single one, as contiguous numbers."""
        shape = self.action_space.shape if n is None else (n, *self.action_space.shape)
        array = np.asarray(actions)
        if array.shape != shape:
            raise ValueError(f"action of shape {array.shape}; expected {shape}")
        if self.action == "scores":
            if array.dtype.kind not in "fiu":
                raise ValueError(f"action of dtype {array.dtype}; expected numbers")
            return np.ascontiguousarray(array, np.float32)
        if array.dtype.kind not in "iu":
            raise ValueError(f"action of dtype {array.dtype}; expected integers")
        return np.ascontiguousarray(array, np.int64)

    def masked(self) -> None:
        if self.action == "scores":
            raise ValueError('scores have no mask; actions "slate" and "item" have one')


def _only(options: dict[str, Any] | None, known: str) -> dict[str, Any]:
    unknown = set(options or ()) - {known}
    if unknown:
        raise ValueError(f"options: {sorted(unknown)} are not known; expected {known!r}")
    return options or {}


def _drawn(env: Any) -> int:
    """A seed, where none was given."""
    return int(env.np_random.integers(2**63))


_OF_ENVIRONMENTS = {
    *("k", "action", "observation", "history", "max_steps", "exclude", "regret", "render_mode"),
    *("num_envs", "autoreset_mode", "threads"),
}


def _make(environment: Any, users: Any, settings: dict[str, Any]) -> Any:
    of_environment = {name: settings.pop(name) for name in _OF_ENVIRONMENTS & settings.keys()}
    return environment(users(**settings), **of_environment)


def mdp(**settings: Any) -> UsersEnv:
    """``foretaste/Mdp-v0``: settings of :meth:`Users.mdp` and of :class:`UsersEnv`."""
    return _make(UsersEnv, Users.mdp, settings)


def mdp_vector(**settings: Any) -> UsersVectorEnv:
    """The same side by side."""
    return _make(UsersVectorEnv, Users.mdp, settings)


def choice_users(**settings: Any) -> UsersEnv:
    """``foretaste/ChoiceUsers-v0``: settings of :meth:`Users.choice_users` and of
    :class:`UsersEnv`."""
    return _make(UsersEnv, Users.choice_users, settings)


def choice_users_vector(**settings: Any) -> UsersVectorEnv:
    """The same side by side."""
    return _make(UsersVectorEnv, Users.choice_users, settings)


def shop(**settings: Any) -> UsersEnv:
    """``foretaste/Shop-v0``: settings of :meth:`Users.shop` and of :class:`UsersEnv`."""
    return _make(UsersEnv, Users.shop, settings)


def shop_vector(**settings: Any) -> UsersVectorEnv:
    """The same side by side."""
    return _make(UsersVectorEnv, Users.shop, settings)


def learned_users(**settings: Any) -> UsersEnv:
    """``foretaste/LearnedUsers-v0``: ``users``, the folder that ``foretaste fit`` wrote, and
    settings of :class:`UsersEnv`."""
    return _make(UsersEnv, Users.load, settings)


def learned_users_vector(**settings: Any) -> UsersVectorEnv:
    """The same side by side."""
    return _make(UsersVectorEnv, Users.load, settings)


for _name, _function in {
    "Mdp": "mdp",
    "ChoiceUsers": "choice_users",
    "Shop": "shop",
    "LearnedUsers": "learned_users",
}.items():
    gymnasium.register(
        id=f"foretaste/{_name}-v0",
        entry_point=f"foretaste.gym:{_function}",
        vector_entry_point=f"foretaste.gym:{_function}_vector",
    )
