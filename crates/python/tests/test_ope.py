"""Estimators on arrays, against the figures of the Open Bandit Pipeline."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from foretaste import ope

OBP = Path(__file__).resolve().parents[2] / "eval/tests/obp"
REFERENCE = json.loads((OBP / "reference.json").read_text())


def table(name):
    with open(OBP / name, newline="") as file:
        rows = list(csv.DictReader(file))
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


def actions():
    """The columns as the pipeline has them: both tables are of every position."""
    log = table("actions.csv")
    rows, position = len(log["reward"]), log["position"].astype(int)
    dist, model = np.full((2, rows, 4, 2), 0.25)
    dist[np.arange(rows), :, position] = np.stack([log[f"evaluation_{a}"] for a in range(4)], 1)
    model[np.arange(rows), :, position] = np.stack([log[f"q_{a}"] for a in range(4)], 1)
    return dict(
        reward=log["reward"],
        pscore=log["propensity"],
        action=log["action"].astype(int),
        action_dist=dist,
        position=position,
        estimated_rewards_by_reg_model=model,
    )


def slates():
    log = table("slates.csv")
    products = {
        name: log[name].reshape(-1, 3).cumprod(axis=1) for name in ("logging", "evaluation")
    }
    place = dict(
        slate_id=log["slate"].astype(int),
        reward=log["reward"],
        position=log["place"].astype(int),
    )
    whole = dict(
        pscore=np.repeat(products["logging"][:, -1], 3),
        evaluation_policy_pscore=np.repeat(products["evaluation"][:, -1], 3),
    )
    cascade = dict(
        pscore_cascade=products["logging"].ravel(),
        evaluation_policy_pscore_cascade=products["evaluation"].ravel(),
    )
    alone = dict(
        pscore_item_position=log["logging_marginal"],
        evaluation_policy_pscore_item_position=log["evaluation_marginal"],
    )
    return log, place, whole, cascade, alone


@pytest.mark.parametrize("name", ["ips", "snips", "clipped_ips", "dr", "clipped_dr", "sndr"])
def test_single_actions_agree_with_the_pipeline(name):
    columns = actions()
    clip = {"lambda_": REFERENCE["cap"]} if name.startswith("clipped") else {}
    value = getattr(ope, name)(**columns, **clip)
    assert value.value == pytest.approx(REFERENCE["actions"][name], abs=1e-6)
    low, high = value.interval
    assert low < value.value < high
    assert value.standard_error == pytest.approx((high - low) / 2 / 1.96793, rel=1e-3)
    weights = (
        columns["action_dist"][np.arange(300), columns["action"], columns["position"]]
        / columns["pscore"]
    )
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert value.effective_sample_size == pytest.approx(effective)


def test_the_direct_method_agrees_and_claims_no_precision():
    columns = actions()
    value = ope.dm(
        columns["action_dist"],
        columns["estimated_rewards_by_reg_model"],
        position=columns["position"],
    )
    assert value.value == pytest.approx(REFERENCE["actions"]["dm"], abs=1e-6)
    assert (value.standard_error, value.interval, value.effective_sample_size) == (None,) * 3
    assert "model" in value.warnings[0]


def test_slates_agree_with_the_pipeline():
    log, place, whole, cascade, alone = slates()
    # The model says what it expects of the logged item, and of the policy: two items do.
    model = dict(
        action=np.zeros(len(log["reward"]), int),
        q_hat=np.stack([log["q_logged"], log["q_expected"]], 1),
        evaluation_policy_action_dist=np.tile([0.0, 1.0], (len(log["reward"]), 1)),
    )
    ours = {
        "sips": ope.sips(**place, **whole),
        "snsips": ope.snsips(**place, **whole),
        "iips": ope.iips(**place, **alone),
        "sniips": ope.sniips(**place, **alone),
        "rips": ope.rips(**place, **cascade),
        "snrips": ope.snrips(**place, **cascade),
        "cascade_dr": ope.cascade_dr(**place, **cascade, **model),
    }
    assert {name: value.value for name, value in ours.items()} == pytest.approx(
        REFERENCE["slates"], abs=1e-6
    )
    assert all(value.standard_error > 0 for value in ours.values())


def test_rows_may_stand_in_any_order():
    _, place, whole, cascade, _ = slates()
    shuffled = np.random.default_rng(0).permutation(len(place["reward"]))
    for estimator, probabilities in ((ope.sips, whole), (ope.rips, cascade)):
        columns = {**place, **probabilities}
        other = {name: column[shuffled] for name, column in columns.items()}
        assert estimator(**other).value == pytest.approx(estimator(**columns).value, rel=1e-12)


def test_equal_policies_earn_what_the_log_earned():
    _, place, whole, *_ = slates()
    same = {**whole, "evaluation_policy_pscore": whole["pscore"]}
    mean = place["reward"].reshape(-1, 3).sum(axis=1).mean()
    assert ope.sips(**place, **same).value == pytest.approx(mean)
    columns = actions()
    value = ope.snips(
        columns["reward"], columns["pscore"], evaluation_policy_pscore=columns["pscore"]
    )
    assert value.value == pytest.approx(columns["reward"].mean())
    assert value.effective_sample_size == pytest.approx(300)


def test_positions_that_do_not_matter_change_nothing():
    """Where an item is as likely at every place, the position-based estimate weighs nothing."""
    clicks = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    half = np.full((4, 2, 2), 0.5)
    for examination in (None, [1.0, 0.5]):
        value = ope.pbm(clicks, half, half, examination=examination)
        assert value.value == pytest.approx(clicks.sum(axis=1).mean())


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(reward=np.full(300, np.nan)), "reward"),
        (dict(pscore=np.zeros(300)), "propensity"),
        (dict(pscore=np.full(299, 0.5)), "299"),
        (dict(action=np.full(300, 4)), "action 4; expected one of 0 to 3"),
        (dict(position=np.full(300, 2)), "position 2; expected one of 0 to 1"),
        (dict(position=np.zeros(300)), "position of dtype float64; expected whole numbers"),
        (dict(action_dist=np.full((300, 4, 2), np.nan)), "probability"),
        (dict(position=None), "expected \\(rows, actions\\)"),
        (dict(action_dist=None), "give evaluation_policy_pscore"),
    ],
)
def test_columns_that_make_no_sense_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        ope.ips(**{**actions(), **change})


def test_slates_that_make_no_sense_are_refused():
    _, place, whole, *_ = slates()
    with pytest.raises(ValueError, match="positions are counted from 0"):
        ope.sips(**{**place, "position": place["position"] + 1}, **whole)
    with pytest.raises(ValueError, match="differs among its places"):
        ope.sips(**place, **{**whole, "pscore": np.linspace(0.1, 0.2, len(place["reward"]))})
    with pytest.raises(ValueError, match="a column of 3 places"):
        ope.rips(**place, pscore_cascade=[1, 1, 1], evaluation_policy_pscore_cascade=[1, 1, 1])
    with pytest.raises(TypeError, match="estimated_reward"):
        ope.dr(**actions(), estimated_reward=1)
