"""Logs as data sets of d3rlpy, and what d3rlpy learned from them as policies that can be judged.

An action chooses one item, as with ``action="item"`` in :mod:`foretaste.gym`: a slate of ``k``
places is ``k`` actions, and what it earned is the reward of the last. Item ``i`` is
``log.items[i]`` of ``n``.

**Observations** are those of :mod:`foretaste.gym` with ``action="item"`` and
``observation="history"``: the ``history`` items clicked last, newest first, and the first ``k - 1``
places of the slate as far as it is filled. Each is one-hot with ``n + 1`` entries, the last for
none, as :func:`gymnasium.spaces.flatten` makes them: uint8 of shape
``((history + k - 1) * (n + 1),)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

try:
    import pyarrow
    import pyarrow.compute
    from d3rlpy.constants import ActionSpace
    from d3rlpy.dataset import MDPDataset
except ImportError as missing:
    raise ImportError(
        "foretaste.d3rlpy needs d3rlpy and pyarrow: pip install 'foretaste[d3rlpy]'"
    ) from missing

from foretaste import Log

__all__ = ["dataset", "policy"]

# Observations whose actions are valued at once.
_BATCH = 1024


def dataset(
    log: Log, *, percent: int = 100, history: int = 10, terminal: str = "left"
) -> MDPDataset:
    """The log as an ``MDPDataset`` of discrete actions; see the module.

    Args:
        log: the log. Its slates must all have the same number of items and at most one click, and
            be drawn from all items; it must have no events.
        percent: only the first so many percent of the sessions, so that others are left to judge
            by: ``judge(.., percent=percent)``.
        history: clicks that are observed.
        terminal: which episodes end in a terminal state. ``"left"``: those in which the user left.
            The others time out, and d3rlpy does not learn from the last action before a timeout.
            ``"last"``: all.
    """
    if terminal not in ("left", "last"):
        raise ValueError(f'terminal {terminal!r}; expected "left" or "last"')
    if not (isinstance(percent, int) and 1 <= percent <= 100):
        raise ValueError(f"percent {percent!r}; expected a whole number from 1 to 100")
    steps = _steps(log, history)
    first = len(log) * percent // 100
    of_first = steps.session < first
    if not first:
        raise ValueError(f"{percent}% of {len(log)} sessions are none; expected at least one")
    left = steps.left | (steps.last if terminal == "last" else False)
    if not (left & of_first).any():
        raise ValueError(
            "in none of these sessions did the user leave, so that d3rlpy would not learn from the "
            'last action of any; with terminal="last" the end of a session counts as leaving'
        )
    rows = np.flatnonzero(of_first)
    k = steps.slates.shape[1]

    def at_last_place(values: np.ndarray) -> np.ndarray:
        placed = np.zeros((len(rows), k), np.float32)
        placed[:, -1] = values[rows]
        return placed.ravel()

    return MDPDataset(
        observations=_observed(steps, rows, log),
        actions=steps.slates[rows].reshape(-1, 1),
        rewards=at_last_place(steps.reward),
        terminals=at_last_place(left),
        timeouts=at_last_place(steps.last & ~left),
        action_space=ActionSpace.DISCRETE,
        action_size=len(log.items),
    )


def policy(
    algo: Any, *, history: int = 10, temperature: float = 0.0
) -> Callable[[Log], np.ndarray]:
    """What an algorithm of d3rlpy learned as a policy for :func:`foretaste.judge`.

    It fills a slate place by place with items that are not on it yet: the item of the highest
    value, or, with a ``temperature``, item ``i`` with a probability in proportion to
    ``exp(value[i] / temperature)``. Most logs can only judge policies that draw.

    Args:
        algo: a trained algorithm that knows the values of discrete actions, such as
            ``DiscreteCQL``; its actions are the items of the log that is judged by.
        history: as it was in :func:`dataset`.
        temperature: 0 for the highest values.

    Returns:
        A function of a log: the probability of each logged item given those before it,
        ``[slates, k]``.
    """
    if not (np.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature {temperature}; expected a number, 0 or above")

    def probabilities(log: Log) -> np.ndarray:
        steps = _steps(log, history)
        n, k = len(log.items), steps.slates.shape[1]
        width = (history + k - 1) * (n + 1)
        if algo.action_size != n or tuple(algo.observation_shape) != (width,):
            raise ValueError(
                f"the algorithm has {algo.action_size} actions and observations of shape "
                f"{tuple(algo.observation_shape)}; this log has {n} items and, with history="
                f"{history}, observations of shape {(width,)}: judge by the log that the data set "
                "was made of, with the same history"
            )
        result = np.empty(steps.slates.shape)
        size = max(1, _BATCH // k)
        for start in range(0, len(result), size):
            rows = np.arange(start, min(start + size, len(result)))
            observed = _observed(steps, rows, log)
            values = algo.predict_value(
                np.repeat(observed, n, axis=0), np.tile(np.arange(n), len(observed))
            )
            values = values.reshape(len(rows), k, n).astype(np.float64)
            result[rows] = _drawn(values, steps.slates[rows], temperature)
        return result

    return probabilities


def _drawn(values: np.ndarray, slates: np.ndarray, temperature: float) -> np.ndarray:
    """The probability of the item at each place, by the values ``[slates, k, n]``."""
    at = np.arange(len(slates))
    probability = np.empty(slates.shape)
    shown = np.zeros((len(slates), values.shape[2]), bool)
    for place, items in enumerate(slates.T):
        of_place = np.where(shown, -np.inf, values[:, place])
        highest = of_place.max(axis=1, keepdims=True)
        if temperature == 0:
            probability[:, place] = of_place.argmax(axis=1) == items
        else:
            weights = np.exp((of_place - highest) / temperature)
            probability[:, place] = weights[at, items] / weights.sum(axis=1)
        shown[at, items] = True
    return probability


class _Steps(NamedTuple):
    """The slates of a log, by the numbers of its items."""

    session: np.ndarray
    """``[steps]``, from 0."""
    slates: np.ndarray
    """``[steps, k]``."""
    seen: np.ndarray
    """``[steps, history]``: the items clicked last, newest first; ``n`` for none."""
    reward: np.ndarray
    left: np.ndarray
    last: np.ndarray
    """``[steps]``: whether it is the session's last."""


def _steps(log: Log, history: int) -> _Steps:
    if not (isinstance(history, int) and history >= 0):
        raise ValueError(f"history {history!r}; expected a whole number, 0 or above")
    described = log.describe()
    for count, what, instead in (
        (described["events"], "events without slates", "leave them out of the table"),
        (described["several_clicks"][0], "slates of several clicks", 'read it with clicks="each"'),
        (described["candidates"], "slates with candidates of their own", "leave that column out"),
    ):
        if count:
            raise ValueError(
                f"{log.name}: the log has {count} {what}, which a data set of d3rlpy with one "
                f"choice of any item per action cannot hold; {instead}"
            )
    table = pyarrow.table(log)
    lengths = pyarrow.compute.list_value_length(table["shown"]).to_numpy()
    k = int(lengths[0])
    if (lengths != k).any():
        raise ValueError(
            f"{log.name}: the slates have {lengths.min()} to {lengths.max()} items; a data set of "
            "d3rlpy needs slates of one size"
        )
    known = pyarrow.array(log.items)
    shown = pyarrow.compute.list_flatten(table["shown"])
    slates = pyarrow.compute.index_in(shown, value_set=known).to_numpy().reshape(-1, k)
    n = len(known)
    chosen = pyarrow.compute.index_in(table["chosen"], value_set=known, skip_nulls=True)
    chosen = chosen.fill_null(n).to_numpy()
    names = table["session"].combine_chunks().dictionary_encode()
    # The dictionary is in the order of appearance.
    session = names.indices.to_numpy()
    first = np.concatenate([[True], session[1:] != session[:-1]])
    last = np.concatenate([first[1:], [True]])

    clicks = chosen[chosen < n]
    before = np.cumsum(chosen < n) - (chosen < n)
    of_session = before - before[first][session]
    back = np.arange(history)
    place = np.clip(before[:, None] - 1 - back, 0, None)
    seen = np.full((len(chosen), history), n, np.int64)
    there = back < of_session[:, None]
    seen[there] = clicks[place[there]]
    reward = table["reward"].to_numpy()
    return _Steps(session, slates, seen, reward, table["left"].to_numpy(), last)


def _observed(steps: _Steps, rows: np.ndarray, log: Log) -> np.ndarray:
    """What is observed before each item of these slates, one-hot."""
    n, k = len(log.items), steps.slates.shape[1]
    filled = np.arange(k - 1) < np.arange(k)[:, None]
    slate = np.where(filled, steps.slates[rows, None, : k - 1], n)
    seen = np.broadcast_to(steps.seen[rows, None], (len(rows), k, steps.seen.shape[1]))
    numbers = np.concatenate([seen, slate], axis=2).reshape(len(rows) * k, -1)
    hot = np.zeros((*numbers.shape, n + 1), np.uint8)
    np.put_along_axis(hot, numbers[..., None], 1, axis=2)
    return hot.reshape(len(numbers), -1)
