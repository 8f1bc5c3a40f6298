"""Off-policy evaluation on arrays, with the argument names of Open Bandit Pipeline.

Every estimator returns a :class:`Value`. Its source and what it assumes: docs/counterfactual.md.

*Logs of single actions*, ``[rows]`` each: ``reward``; ``pscore``, the logging policy's probability
of the logged action; and either ``evaluation_policy_pscore``, the evaluated policy's, or ``action``
with ``action_dist`` ``[rows, actions]`` or ``[rows, actions, positions]`` and, for the latter,
``position``, from 0. A model of the rewards, ``estimated_rewards_by_reg_model``, has the shape of
``action_dist``.

*Logs of slates*: ``slate_id`` and ``position`` (from 0) of each place in any order, ``reward``, and
the probabilities that the estimator's docstring names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from foretaste._core import of_actions, of_positions, of_slates

__all__ = [
    *("Value", "ips", "snips", "clipped_ips", "dm", "dr", "clipped_dr", "sndr"),
    *("sips", "snsips", "iips", "sniips", "rips", "snrips", "cascade_dr", "pbm", "snpbm"),
]


@dataclass(frozen=True)
class Value:
    """What a policy would earn per row, or per slate, in the unit of the rewards."""

    #: The estimate.
    value: float
    #: Its standard error; None where there is none, as of a model's predictions.
    standard_error: float | None
    #: Both ends of its 95% interval, by Student's t; or None.
    interval: tuple[float, float] | None
    #: (Σ w)² / Σ w²: so many equally weighted rows would say about as much; None without weights.
    effective_sample_size: float | None
    #: What speaks against the estimate, in words.
    warnings: list[str]

    def __float__(self) -> float:
        return self.value


def ips(reward: Any, pscore: Any, **policy: Any) -> Value:
    """Inverse propensity scoring: mean of w r."""
    return _of_actions("ips", reward, pscore, policy)


def snips(reward: Any, pscore: Any, **policy: Any) -> Value:
    """Self-normalised IPS: Σ w r / Σ w."""
    return _of_actions("snips", reward, pscore, policy)


def clipped_ips(reward: Any, pscore: Any, *, lambda_: float, **policy: Any) -> Value:
    """IPS with weights of at most ``lambda_``."""
    return _of_actions("clipped_ips", reward, pscore, policy, lambda_)


def dm(action_dist: Any, estimated_rewards_by_reg_model: Any, *, position: Any = None) -> Value:
    """The direct method: mean of what the model expects of the policy."""
    dist, model = _at(action_dist, position), _at(estimated_rewards_by_reg_model, position)
    _same_shape(dist, model)
    expected = _column("expected rewards", (dist * model).sum(axis=1))
    return Value(*of_actions("dm", None, None, None, expected, expected, 1.0))


def dr(reward: Any, pscore: Any, **policy: Any) -> Value:
    """Doubly robust: the model's expectation, corrected by weighted residuals. Needs ``action``,
    ``action_dist`` and ``estimated_rewards_by_reg_model``."""
    return _of_actions("dr", reward, pscore, policy)


def clipped_dr(reward: Any, pscore: Any, *, lambda_: float, **policy: Any) -> Value:
    """:func:`dr` with weights of at most ``lambda_``."""
    return _of_actions("clipped_dr", reward, pscore, policy, lambda_)


def sndr(reward: Any, pscore: Any, **policy: Any) -> Value:
    """Self-normalised :func:`dr`."""
    return _of_actions("sndr", reward, pscore, policy)


def sips(
    slate_id: Any, reward: Any, position: Any, pscore: Any, evaluation_policy_pscore: Any
) -> Value:
    """Standard IPS of whole slates. Both probabilities are those of the slate, at each of its
    places."""
    return _of_whole("ips", slate_id, reward, position, pscore, evaluation_policy_pscore)


def snsips(
    slate_id: Any, reward: Any, position: Any, pscore: Any, evaluation_policy_pscore: Any
) -> Value:
    """Self-normalised :func:`sips`."""
    return _of_whole("snips", slate_id, reward, position, pscore, evaluation_policy_pscore)


def iips(
    slate_id: Any,
    reward: Any,
    position: Any,
    pscore_item_position: Any,
    evaluation_policy_pscore_item_position: Any,
) -> Value:
    """Independent positions. The probabilities are those of each item at its place, whatever stands
    at the others."""
    marginals = pscore_item_position, evaluation_policy_pscore_item_position
    return _of_slates("iips", slate_id, reward, position, *marginals)


def sniips(
    slate_id: Any,
    reward: Any,
    position: Any,
    pscore_item_position: Any,
    evaluation_policy_pscore_item_position: Any,
) -> Value:
    """Self-normalised :func:`iips`."""
    marginals = pscore_item_position, evaluation_policy_pscore_item_position
    return _of_slates("sniips", slate_id, reward, position, *marginals)


def rips(
    slate_id: Any,
    reward: Any,
    position: Any,
    pscore_cascade: Any,
    evaluation_policy_pscore_cascade: Any,
) -> Value:
    """Reward interaction. The probabilities are those of the items up to each place."""
    cascade = pscore_cascade, evaluation_policy_pscore_cascade
    return _of_slates("rips", slate_id, reward, position, *cascade)


def snrips(
    slate_id: Any,
    reward: Any,
    position: Any,
    pscore_cascade: Any,
    evaluation_policy_pscore_cascade: Any,
) -> Value:
    """Self-normalised :func:`rips`."""
    cascade = pscore_cascade, evaluation_policy_pscore_cascade
    return _of_slates("snrips", slate_id, reward, position, *cascade)


def cascade_dr(
    slate_id: Any,
    reward: Any,
    position: Any,
    pscore_cascade: Any,
    evaluation_policy_pscore_cascade: Any,
    *,
    action: Any,
    q_hat: Any,
    evaluation_policy_action_dist: Any,
) -> Value:
    """Cascade-DR. ``q_hat`` and ``evaluation_policy_action_dist`` hold, for each place, what the
    model expects of every item there and the evaluated policy's probability of it given the places
    before: ``[places · items]`` or ``[places, items]``."""
    action = _whole("action", action)
    q_hat = np.asarray(q_hat, np.float64).reshape(len(action), -1)
    dist = np.asarray(evaluation_policy_action_dist, np.float64).reshape(len(action), -1)
    _same_shape(dist, q_hat)
    logged = _taken(q_hat, action)
    cascade = pscore_cascade, evaluation_policy_pscore_cascade
    predictions = logged, (q_hat * dist).sum(axis=1)
    return _of_slates("cascade_dr", slate_id, reward, position, *cascade, predictions)


def pbm(
    reward: Any, pscore: Any, evaluation_policy_pscore: Any, *, examination: Any = None
) -> Value:
    """The position-based estimator. ``reward`` ``[slates, k]``; the probabilities of each shown
    item at every place, ``[slates, k, k]``; ``examination`` ``[k]``, or estimated from the log."""
    return _of_positions("pbm", reward, pscore, evaluation_policy_pscore, examination)


def snpbm(
    reward: Any, pscore: Any, evaluation_policy_pscore: Any, *, examination: Any = None
) -> Value:
    """Self-normalised :func:`pbm`."""
    return _of_positions("snpbm", reward, pscore, evaluation_policy_pscore, examination)


def _of_actions(
    estimator: str, reward: Any, pscore: Any, policy: dict[str, Any], cap: float = 1.0
) -> Value:
    known = {"evaluation_policy_pscore", "action", "action_dist", "position"}
    known |= {"estimated_rewards_by_reg_model"}
    if unknown := set(policy) - known:
        raise TypeError(f"unexpected arguments {sorted(unknown)}; expected some of {sorted(known)}")
    pscore_of_policy, action, action_dist, position, model = (
        policy.get(name)
        for name in (
            *("evaluation_policy_pscore", "action", "action_dist", "position"),
            "estimated_rewards_by_reg_model",
        )
    )
    needs_model = estimator in ("dr", "clipped_dr", "sndr")
    logged = expected = None
    if action_dist is not None:
        if action is None:
            raise ValueError("action_dist needs action, the logged ones, beside it")
        dist, action = _at(action_dist, position), _whole("action", action)
        if pscore_of_policy is None:
            pscore_of_policy = _taken(dist, action)
        if model is not None:
            model = _at(model, position)
            _same_shape(dist, model)
            logged = _column("predictions", _taken(model, action))
            expected = _column("predictions", (dist * model).sum(axis=1))
    if pscore_of_policy is None:
        raise ValueError("give evaluation_policy_pscore, or action and action_dist")
    if needs_model and logged is None:
        raise ValueError(
            f"{estimator} needs action, action_dist and estimated_rewards_by_reg_model"
        )
    columns = (
        _column("reward", reward),
        _column("pscore", pscore),
        _column("evaluation_policy_pscore", pscore_of_policy),
    )
    return Value(*of_actions(estimator, *columns, logged, expected, cap))


def _of_whole(
    estimator: str, slate_id: Any, reward: Any, position: Any, pscore: Any, policy: Any
) -> Value:
    order, lengths = _slates(slate_id, position)
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    columns = [
        _same_rows(_column(name, column), order)
        for name, column in (("pscore", pscore), ("evaluation_policy_pscore", policy))
    ]
    for column in columns:
        if not np.allclose(column, np.repeat(column[firsts], lengths), rtol=1e-9, atol=0):
            raise ValueError(
                "the probability of a slate differs among its places; expected that of the whole "
                "slate at each"
            )
    rewards = np.add.reduceat(_same_rows(_column("reward", reward), order), firsts)
    whole = (np.ascontiguousarray(column[firsts]) for column in columns)
    return Value(*of_actions(estimator, rewards, *whole, None, None, 1.0))


def _of_slates(
    estimator: str,
    slate_id: Any,
    reward: Any,
    position: Any,
    logging: Any,
    evaluation: Any,
    predictions: tuple[Any, Any] | None = None,
) -> Value:
    order, lengths = _slates(slate_id, position)
    names = ("reward", "logging probabilities", "evaluation probabilities")
    reward, logging, evaluation = (
        _same_rows(_column(name, column), order)
        for name, column in zip(names, (reward, logging, evaluation))
    )
    if estimator not in ("iips", "sniips"):
        logging, evaluation = _conditional(logging, lengths), _conditional(evaluation, lengths)
    logged, expected = (
        (None, None)
        if predictions is None
        else (_same_rows(_column("predictions", column), order) for column in predictions)
    )
    columns = reward, logging, evaluation, logged, expected
    return Value(*of_slates(estimator, lengths.tolist(), *columns))


def _of_positions(
    estimator: str, reward: Any, logging: Any, evaluation: Any, examination: Any
) -> Value:
    reward = np.asarray(reward, np.float64)
    if reward.ndim != 2:
        raise ValueError(f"reward of shape {reward.shape}; expected (slates, k)")
    k = reward.shape[1]
    shape = (*reward.shape, k)
    columns = [reward.ravel()]
    for name, array in (("pscore", logging), ("evaluation_policy_pscore", evaluation)):
        array = np.asarray(array, np.float64)
        if array.shape != shape:
            raise ValueError(f"{name} of shape {array.shape}; expected {shape}")
        columns.append(array.ravel())
    if examination is not None:
        examination = _column("examination", examination)
    return Value(*of_positions(estimator, k, *map(np.ascontiguousarray, columns), examination))


def _slates(slate_id: Any, position: Any) -> tuple[np.ndarray, np.ndarray]:
    """The order that puts the places of each slate one after the other, and the slates' lengths."""
    slate_id, position = np.asarray(slate_id), _whole("position", position)
    if slate_id.ndim != 1 or slate_id.shape != position.shape or not len(slate_id):
        raise ValueError(
            f"slate_id of shape {slate_id.shape} and position of shape {position.shape}; expected "
            "one of each for every place"
        )
    _, slate, lengths = np.unique(slate_id, return_inverse=True, return_counts=True)
    order = np.lexsort((position, slate))
    places = np.arange(len(order)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if wrong := np.flatnonzero(position[order] != places).tolist():
        at = order[wrong[0]]
        raise ValueError(
            f"slate {slate_id[at]}: position {position[at]} where {places[wrong[0]]} is expected; "
            "positions are counted from 0, each once"
        )
    return order, lengths


def _conditional(cascade: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each place's probability given those before it, of products along the slates."""
    before = np.concatenate([[1.0], cascade[:-1]])
    before[np.cumsum(lengths) - lengths] = 1.0
    # After what never happens anything may; the product stays 0.
    conditional = np.divide(cascade, before, out=np.zeros_like(cascade), where=before > 0)
    # Products are rounded.
    return np.where((conditional > 1) & (conditional < 1 + 1e-9), 1.0, conditional)


def _at(array: Any, position: Any) -> np.ndarray:
    """The entries of each row's own position, ``[rows, actions]``."""
    array = np.asarray(array, np.float64)
    if array.ndim == 3 and array.shape[2] == 1 and position is None:
        return array[:, :, 0]
    if array.ndim == 3 and position is not None:
        position = _whole("position", position)
        if position.shape != array.shape[:1]:
            raise ValueError(f"position of shape {position.shape}; expected {array.shape[:1]}")
        outside = (position < 0) | (position >= array.shape[2])
        if outside.any():
            raise ValueError(
                f"position {position[outside][0]}; expected one of 0 to {array.shape[2] - 1}"
            )
        return array[np.arange(len(array)), :, position]
    if array.ndim == 2:
        return array
    raise ValueError(
        f"an array of shape {array.shape}; expected (rows, actions), or (rows, actions, positions) "
        "with position"
    )


def _taken(table: np.ndarray, action: np.ndarray) -> np.ndarray:
    if action.shape != table.shape[:1]:
        raise ValueError(f"action of shape {action.shape}; expected {table.shape[:1]}")
    outside = (action < 0) | (action >= table.shape[1])
    if outside.any():
        raise ValueError(f"action {action[outside][0]}; expected one of 0 to {table.shape[1] - 1}")
    return table[np.arange(len(table)), action]


def _same_shape(dist: np.ndarray, model: np.ndarray) -> None:
    if dist.shape != model.shape:
        raise ValueError(f"probabilities of shape {dist.shape}, and predictions of {model.shape}")


def _same_rows(column: np.ndarray, order: np.ndarray) -> np.ndarray:
    if len(column) != len(order):
        raise ValueError(f"a column of {len(column)} places; expected {len(order)}")
    return column[order]


def _column(name: str, column: Any) -> np.ndarray:
    array = np.ascontiguousarray(column, np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} of shape {array.shape}; expected one number a row")
    return array


def _whole(name: str, column: Any) -> np.ndarray:
    array = np.asarray(column)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} of dtype {array.dtype}; expected whole numbers")
    return array.astype(np.int64)
