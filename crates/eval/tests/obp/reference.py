"""The Open Bandit Pipeline's figures, for the tests of foretaste-eval and its example open_bandit.

    pip install -r requirements.txt
    python reference.py synthetic                     # actions.csv, slates.csv and reference.json in this folder
    python reference.py open-bandit DIR OUT.json      # DIR/{random,bts}/{men,women}/*.csv of the Open Bandit Dataset;
                                                      # beside OUT.json also LOG-to-POLICY-CAMPAIGN.csv for `judge`
"""

import csv
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import obp
from obp.dataset import OpenBanditDataset
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    InverseProbabilityWeighting,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
    SelfNormalizedSlateIndependentIPS,
    SelfNormalizedSlateRewardInteractionIPS,
    SelfNormalizedSlateStandardIPS,
    SlateCascadeDoublyRobust,
    SlateIndependentIPS,
    SlateRewardInteractionIPS,
    SlateStandardIPS,
)
from obp.policy import BernoulliTS

HERE = Path(__file__).parent
CAP = 2.0
VERSIONS = {"obp": obp.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}


def action_figures(reward, action, position, pscore, action_dist, q_hat):
    """The estimators of logs of single actions; action_dist and q_hat are [rows, actions, positions]."""
    estimators = {
        "ips": InverseProbabilityWeighting(),
        "clipped_ips": InverseProbabilityWeighting(lambda_=CAP),
        "snips": SelfNormalizedInverseProbabilityWeighting(),
        "dm": DirectMethod(),
        "dr": DoublyRobust(),
        "clipped_dr": DoublyRobust(lambda_=CAP),
        "sndr": SelfNormalizedDoublyRobust(),
    }
    columns = dict(reward=reward, action=action, position=position, pscore=pscore, action_dist=action_dist)
    return {
        name: float(estimator.estimate_policy_value(estimated_rewards_by_reg_model=q_hat, **columns))
        for name, estimator in estimators.items()
    }


def synthetic_actions():
    """300 rows of 4 actions at 2 positions; probabilities are multiples of 1/1000 and sum to 1."""
    random = np.random.RandomState(1)
    rows, actions, positions = 300, 4, 2

    def policy():
        shares = random.multinomial(996, random.dirichlet(np.ones(actions))) + 1
        return shares / 1000

    contexts = [(policy(), [policy() for _ in range(positions)], random.rand(actions)) for _ in range(3)]
    table = []
    for _ in range(rows):
        logging, evaluation, truth = contexts[random.randint(3)]
        action, position = random.choice(actions, p=logging), random.randint(positions)
        reward = float(random.rand() < truth[action]) * random.randint(1, 4)
        q_hat = np.round(truth + random.normal(0, 0.2, actions), 3)
        table.append([reward, action, position, logging[action], *evaluation[position], *q_hat])
    header = ["reward", "action", "position", "propensity"]
    header += [f"evaluation_{a}" for a in range(actions)] + [f"q_{a}" for a in range(actions)]
    write_csv(HERE / "actions.csv", header, table)

    table = np.array(table)
    action, position = table[:, 1].astype(int), table[:, 2].astype(int)
    action_dist, q_hat = np.ones((2, rows, actions, positions))
    action_dist /= actions
    action_dist[np.arange(rows), :, position] = table[:, 4 : 4 + actions]
    q_hat[np.arange(rows), :, position] = table[:, 4 + actions :]
    return action_figures(table[:, 0], action, position, table[:, 3], action_dist, q_hat)


def synthetic_slates():
    """150 slates of 3 of 5 items, both policies Plackett-Luce; marginal probabilities by summing over all slates."""
    random = np.random.RandomState(2)
    slates, items, k = 150, 5, 3
    rankings = list(itertools.permutations(range(items), k))

    def conditional(weights, ranking):
        left = np.ones(items)
        dists = []
        for item in ranking:
            dists.append(weights * left / (weights * left).sum())
            left[item] = 0
        return np.array(dists)

    def chances(weights, ranking):
        return conditional(weights, ranking)[np.arange(k), ranking]

    def marginal(weights):
        table = np.zeros((items, k))
        for ranking in rankings:
            table[ranking, np.arange(k)] += chances(weights, ranking).prod()
        return table

    contexts = []
    for _ in range(3):
        logging, evaluation = np.exp(random.normal(0, 0.5, (2, items)))
        contexts.append((logging, evaluation, marginal(logging), marginal(evaluation), random.rand(items)))
    table, q_hat, dists = [], [], []
    for slate in range(slates):
        logging, evaluation, logging_marginal, evaluation_marginal, truth = contexts[random.randint(3)]
        probabilities = np.array([chances(logging, ranking).prod() for ranking in rankings])
        ranking = rankings[random.choice(len(rankings), p=probabilities / probabilities.sum())]
        dist = conditional(evaluation, ranking)
        for place, item in enumerate(ranking):
            reward = float(random.rand() < truth[item] / (1 + place))
            q_hat.append(np.round(truth + random.normal(0, 0.2, items), 3))
            dists.append(dist[place])
            table.append([
                slate, place, item, reward,
                chances(logging, ranking)[place], dist[place, item],
                logging_marginal[item, place], evaluation_marginal[item, place],
                q_hat[-1][item], q_hat[-1] @ dist[place],
            ])
    header = ["slate", "place", "item", "reward", "logging", "evaluation", "logging_marginal", "evaluation_marginal"]
    write_csv(HERE / "slates.csv", header + ["q_logged", "q_expected"], table)

    table = np.array(table)
    slate_id, position, action = (table[:, column].astype(int) for column in range(3))
    common = dict(slate_id=slate_id, reward=table[:, 3], position=position)
    prefixes = [table[:, column].reshape(slates, k).cumprod(axis=1) for column in (4, 5)]
    cascade = dict(zip(("pscore_cascade", "evaluation_policy_pscore_cascade"), (p.flatten() for p in prefixes)))
    whole = dict(zip(("pscore", "evaluation_policy_pscore"), (np.repeat(p[:, -1], k) for p in prefixes)))
    alone = dict(pscore_item_position=table[:, 6], evaluation_policy_pscore_item_position=table[:, 7])
    model = dict(
        action=action, q_hat=np.concatenate(q_hat), evaluation_policy_action_dist=np.concatenate(dists)
    )
    doubly_robust = SlateCascadeDoublyRobust(len_list=k, n_unique_action=items)
    figures = {
        "sips": SlateStandardIPS(len_list=k).estimate_policy_value(**common, **whole),
        "snsips": SelfNormalizedSlateStandardIPS(len_list=k).estimate_policy_value(**common, **whole),
        "iips": SlateIndependentIPS(len_list=k).estimate_policy_value(**common, **alone),
        "sniips": SelfNormalizedSlateIndependentIPS(len_list=k).estimate_policy_value(**common, **alone),
        "rips": SlateRewardInteractionIPS(len_list=k).estimate_policy_value(**common, **cascade),
        "snrips": SelfNormalizedSlateRewardInteractionIPS(len_list=k).estimate_policy_value(**common, **cascade),
        "cascade_dr": doubly_robust.estimate_policy_value(**common, **cascade, **model),
    }
    return {name: float(value) for name, value in figures.items()}


def open_bandit(folder):
    """Each log evaluates the policy that the other log was made by; q_hat is the mean reward of an item in the log."""
    runs = []
    for campaign in ("men", "women"):
        logs = {
            policy: OpenBanditDataset(policy, campaign, data_path=str(folder)).obtain_batch_bandit_feedback()
            for policy in ("random", "bts")
        }
        for logged, evaluated in (("random", "bts"), ("bts", "random")):
            log = logs[logged]
            items, positions = log["n_actions"], 3
            if evaluated == "bts":
                policy = BernoulliTS(
                    n_actions=items, len_list=positions, is_zozotown_prior=True, campaign=campaign, random_state=12345
                )
                dist = policy.compute_batch_action_dist(n_rounds=1, n_sim=100_000)[0]
            else:
                dist = np.full((items, positions), 1 / items)
            means = [log["reward"][log["action"] == item].mean() for item in range(items)]
            q_hat = np.tile(np.array(means)[:, None], (1, positions))
            rows = log["n_rounds"]
            figures = action_figures(
                log["reward"], log["action"], log["position"], log["pscore"],
                np.tile(dist, (rows, 1, 1)), np.tile(q_hat, (rows, 1, 1)),
            )
            runs.append(dict(
                campaign=campaign, logged=logged, evaluated=evaluated, cap=CAP, rows=rows,
                own_log_mean=float(logs[evaluated]["reward"].mean()), figures=figures, evaluation=dist.tolist(),
            ))
    return runs


def write_policies(folder, runs, place):
    """What each policy gives the items of the other's log: policy files of `foretaste judge`."""
    for run in runs:
        logged, campaign = run["logged"], run["campaign"]
        with open(folder / logged / campaign / f"{campaign}.csv", newline="") as file:
            shown = [(int(row["item_id"]), int(row["position"]) - 1) for row in csv.DictReader(file)]
        rows = ((session, 0, run["evaluation"][item][position]) for session, (item, position) in enumerate(shown))
        write_csv(place / f"{logged}-to-{run['evaluated']}-{campaign}.csv", ["session", "step", "policy"], rows)


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[repr(float(x)) if isinstance(x, float) else x for x in row] for row in rows])


def write_json(path, content):
    path.write_text(json.dumps({"versions": VERSIONS, **content}, indent=1) + "\n")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments == ["synthetic"]:
        write_json(
            HERE / "reference.json", {"cap": CAP, "actions": synthetic_actions(), "slates": synthetic_slates()}
        )
    elif len(arguments) == 3 and arguments[0] == "open-bandit":
        folder, out = Path(arguments[1]), Path(arguments[2])
        runs = open_bandit(folder)
        write_json(out, {"runs": runs})
        write_policies(folder, runs, out.parent)
    else:
        sys.exit(__doc__)
