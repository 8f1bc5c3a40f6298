"""PyTorch's times of fitting GAN-CDQN's user models on the processor, for comparison with ours.

    torch_fit.py --serve
        answers requests until its input ends. The first line it writes is
        {"name": "PyTorch VERSION"}. A request is one line of JSON, the model (pw or lstm), the
        file in the format of the authors' code, the number of updates and of threads:
            {"model": "pw", "path": "yelp.txt", "iterations": 500, "threads": 1}
        The answer is one line: {"seconds": TIME}, of all updates, or {"error": WHY}.
        `cargo xtask bench fit` speaks this.

The models are an ordinary port: f32, one-hot items, states of position weights (the last 20
clicks, 4 columns, bias and ELU) or of an LSTM of width 20, a reward network 64-64 with ELU,
cross-entropy over the slate, fused Adam of rate 5e-4, batches of 50 users. Batches are prepared as
tensors before the time begins, and used in turn. Nothing is validated.
"""

import argparse
import csv
import json
import sys
import time
from collections import defaultdict

import torch
from torch import nn
from torch.nn import functional

BATCH, HISTORY, COLUMNS, STATE, HEAD = 50, 20, 4, 20, 64


def main():
    parser = argparse.ArgumentParser(description="PyTorch's times of fits on the processor.")
    parser.add_argument(
        "--serve",
        action="store_true",
        required=True,
        help="answer requests from the standard input",
    )
    parser.parse_args()
    say({"name": f"PyTorch {torch.__version__}"})
    for line in sys.stdin:
        say(answer(line))


def say(message):
    print(json.dumps(message), flush=True)


def answer(line):
    try:
        return {"seconds": fit(**json.loads(line))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def fit(model, path, iterations, threads):
    """The seconds of so many updates."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    users, items = read(path)
    order = torch.randperm(len(users)).tolist()
    chunks = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
    batches = [prepare([users[user] for user in chunk], items) for chunk in chunks]
    network = {"pw": PositionWeights, "lstm": Lstm}[model](items)
    adam = torch.optim.Adam(network.parameters(), lr=5e-4, fused=True)
    losses = []
    begin = time.perf_counter()
    for iteration in range(iterations):
        batch = batches[iteration % len(batches)]
        adam.zero_grad()
        loss = functional.cross_entropy(network(batch), batch["chosen"])
        loss.backward()
        adam.step()
        losses.append(loss.detach())
    seconds = time.perf_counter() - begin
    first, last = (
        torch.stack(part).mean() for part in [losses[: len(batches)], losses[-len(batches) :]]
    )
    print(f"{model}: loss {first:.4f} in the first pass, {last:.4f} in the last", file=sys.stderr)
    if not last < first:
        raise ValueError(f"the loss went from {first} to {last}, expected less")
    return seconds


def read(path):
    """The slates of the training users, each a list of items and the place of the click, and the
    number of items."""
    slates = defaultdict(lambda: defaultdict(list))
    items = 0
    with open(path, newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            items = max(items, 1 + int(row["item_new_index"]))
            if row["tr_val_tst"] == "0":
                shown = (int(row["item_new_index"]), row["is_click"] == "1")
                slates[row["session_new_index"]][int(row["Time"])].append(shown)
    users = []
    for of_user in slates.values():
        shown = [of_user[moment] for moment in sorted(of_user)]
        users.append(
            [
                ([item for item, _ in slate], [click for _, click in slate].index(True))
                for slate in shown
            ]
        )
    return users, items


def prepare(users, items):
    """Tensors of a batch. Padding has the item 0 and is masked."""
    places = max(len(shown) for user in users for shown, _ in user)
    shown, mask, chosen, history, before = [], [], [], [], []
    steps = max(len(user) for user in users)
    clicks = torch.zeros(len(users), steps, items)
    for row, user in enumerate(users):
        clicked = []
        for slate, choice in user:
            number = len(shown)
            missing = places - len(slate)
            shown.append(slate + [0] * missing)
            mask.append([False] * len(slate) + [True] * missing)
            chosen.append(choice)
            history += [
                (number, lag, item) for lag, item in enumerate(reversed(clicked[-HISTORY:]))
            ]
            before.append(row * steps + len(clicked) if clicked else 0)
            clicks[row, len(clicked), slate[choice]] = 1
            clicked.append(slate[choice])
    slates, lags, clicked = torch.tensor(history, dtype=torch.long).reshape(-1, 3).unbind(1)
    return {
        "shown": torch.tensor(shown),
        "mask": torch.tensor(mask),
        "chosen": torch.tensor(chosen),
        # For position weights: the row of W and the row of [slate, item] of each click.
        "lags": lags,
        "cells": slates * items + clicked,
        # For the LSTM: one-hot clicks, and which output is before each slate; 0 is the empty
        # history.
        "clicks": clicks,
        "before": torch.tensor(before),
    }


class Reward(nn.Module):
    """The reward of every shown item: a network on the state and the item."""

    def __init__(self, width, items):
        super().__init__()
        self.state = nn.Linear(width, HEAD)
        self.item = nn.Embedding(items, HEAD)
        self.rest = nn.Sequential(nn.ELU(), nn.Linear(HEAD, HEAD), nn.ELU(), nn.Linear(HEAD, 1))

    def forward(self, states, batch):
        hidden = self.state(states).unsqueeze(1) + self.item(batch["shown"])
        return self.rest(hidden).squeeze(2).masked_fill(batch["mask"], -torch.inf)


class PositionWeights(nn.Module):
    """States of position weights: vec[ELU(F^T W + B)]."""

    def __init__(self, items):
        super().__init__()
        self.items = items
        self.weight = nn.Parameter(torch.full((HISTORY, COLUMNS), 1e-4))
        self.bias = nn.Parameter(torch.zeros(items, COLUMNS))
        self.reward = Reward(items * COLUMNS, items)

    def forward(self, batch):
        slates = len(batch["chosen"])
        sums = self.bias.repeat(slates, 1).index_add(0, batch["cells"], self.weight[batch["lags"]])
        return self.reward(functional.elu(sums).reshape(slates, -1), batch)


class Lstm(nn.Module):
    """States of an LSTM over the one-hot clicks."""

    def __init__(self, items):
        super().__init__()
        self.lstm = nn.LSTM(items, STATE, batch_first=True)
        self.reward = Reward(STATE, items)

    def forward(self, batch):
        outputs, _ = self.lstm(batch["clicks"])
        states = torch.cat([outputs.new_zeros(1, STATE), outputs.reshape(-1, STATE)])
        return self.reward(states[batch["before"]], batch)


if __name__ == "__main__":
    main()
