"""Writes what PyTorch computes, as the reference of this crate's tests.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python lstm_vectors.py

Four files appear beside this script, the same bytes every time on one machine. Weights have this
crate's layout: `[inputs, outputs]`, gates in the order i, f, o, g, one bias. All draws are made in
f64 from a fixed generator; an f32 result is that of the same numbers rounded to f32.

lstm.safetensors: nn.LSTM of 2 layers, 5 inputs, hidden 7, on 4 sequences of at most 6 steps.
  lstm.L.input_weight [inputs, 4 hidden], lstm.L.hidden_weight [hidden, 4 hidden], lstm.L.bias [4 hidden]   f64
  x [rows, time, inputs], mask [rows, time] (u8, 1 up to each row's length)
  start.h, start.c [layers, rows, hidden]: initial states for the cases `given`
  loss.outputs [rows, time, hidden], loss.h, loss.c [layers, rows, hidden]: factors of the losses below
  TYPE.CASE.START.NAME for TYPE in f32, f64; CASE in full (every row of 6 steps), padded (rows as long as `mask` says);
  START in zero (initial state 0; loss = sum(loss.outputs outputs) + sum(loss.h h) of the top layer alone),
  given (initial state start; loss = sum(loss.outputs outputs) + sum(loss.h h) + sum(loss.c c) over all layers); NAME in
    outputs [rows, time, hidden] (0 behind a row's end, and so without weight in the loss), h, c [layers, rows, hidden]
    (each row's state after its own last step), loss [],
    gradient.PARAMETER, gradient.x and, for given, gradient.h, gradient.c (of start)

embedding.safetensors: nn.Embedding of 9 rows of 4, f64, 3 steps of Adam and, from the same start, of SparseAdam, both with
  learning rate 0.05 and PyTorch's defaults. The loss of step s is sum(factors[s] e²), e the rows of ids[s].
  start [9, 4], ids [3, 3, 4] (i64; ids repeat within a step, row 8 is never named), factors [3, 3, 4, 4]
  gradients [3, 9, 4]: the gradient of the whole table at each step of Adam
  adam [3, 9, 4], sparse_adam [3, 9, 4]: the table after each step
  SparseAdam leaves rows alone, moments too, that a step does not name; its bias correction counts all steps; its update is
  learning_rate √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε), so that ε is not what it is in Adam.

training.safetensors: 5 steps of Adam, learning rate 0.05 and PyTorch's defaults, on all parameters
  of an nn.LSTM of the same sizes, with gradients clipped to the norm 4. The loss is
  sum(factors outputs²). PyTorch divides by the norm + 1e-6 where it clips.
  x [rows, time, inputs], factors [rows, time, hidden], start.PARAMETER as above
  TYPE.norms [5]: the norm of all gradients at each step, before it is clipped (some are above 4,
    some below)
  TYPE.end.PARAMETER: the parameters after the last step

softmax.safetensors: mean cross-entropy of logits h weight + bias, f64.
  h [6, 5], weight [5, 11], bias [11], targets [6] (i64), logits [6, 11], loss [], gradient.h, gradient.weight, gradient.bias
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

INPUTS, HIDDEN, LAYERS, ROWS, TIME = 5, 7, 2, 4, 6
LENGTHS = [6, 3, 1, 4]
CLIP = 4.0
FOLDER = Path(__file__).parent


def main():
    torch.set_num_threads(1)
    write("lstm", lstm(Draws(1)))
    write("embedding", embedding(Draws(2)))
    write("softmax", softmax(Draws(3)))
    write("training", training(Draws(4)))


class Draws:
    """Normal draws of a fixed generator, f64."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape, sd=1.0):
        return sd * torch.randn(*shape, generator=self.generator, dtype=torch.float64)


def lstm(draws):
    model = nn.LSTM(INPUTS, HIDDEN, LAYERS, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(draws.normal(*parameter.shape, sd=0.5))
    state = (LAYERS, ROWS, HIDDEN)
    given = {
        "x": draws.normal(ROWS, TIME, INPUTS),
        "mask": (torch.arange(TIME) < torch.tensor(LENGTHS)[:, None]).to(torch.uint8),
        "start.h": draws.normal(*state, sd=0.5),
        "start.c": draws.normal(*state),
        "loss.outputs": draws.normal(ROWS, TIME, HIDDEN),
        "loss.h": draws.normal(*state),
        "loss.c": draws.normal(*state),
    }
    tensors = given | parameters(model)
    for kind, dtype in [("f32", torch.float32), ("f64", torch.float64)]:
        for case in ["full", "padded"]:
            for start in ["zero", "given"]:
                results = lstm_case(model, given, dtype, case, start)
                tensors |= {f"{kind}.{case}.{start}.{name}": value for name, value in results.items()}
    return tensors


def lstm_case(reference, given, dtype, case, start):
    model = nn.LSTM(INPUTS, HIDDEN, LAYERS, batch_first=True, dtype=dtype)
    model.load_state_dict(reference.state_dict())
    given = {name: value.to(dtype) for name, value in given.items()}
    x, h0, c0 = (given[name].clone().requires_grad_() for name in ["x", "start.h", "start.c"])
    initial = (h0, c0) if start == "given" else None
    if case == "full":
        outputs, (h, c) = model(x, initial)
    else:
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        outputs, (h, c) = model(packed, initial)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=TIME)
    loss = (given["loss.outputs"] * outputs).sum()
    if start == "given":
        loss = loss + (given["loss.h"] * h).sum() + (given["loss.c"] * c).sum()
    else:
        loss = loss + (given["loss.h"][-1] * h[-1]).sum()
    loss.backward()
    results = {"outputs": outputs, "h": h, "c": c, "loss": loss, "gradient.x": x.grad}
    if start == "given":
        results |= {"gradient.h": h0.grad, "gradient.c": c0.grad}
    return results | {f"gradient.{name}": value for name, value in gradients(model).items()}


def parameters(model):
    """The parameters in this crate's layout."""
    tensors = {}
    for layer in range(LAYERS):
        weight_ih, weight_hh, bias_ih, bias_hh = model.all_weights[layer]
        tensors[f"lstm.{layer}.input_weight"] = layout(weight_ih)
        tensors[f"lstm.{layer}.hidden_weight"] = layout(weight_hh)
        tensors[f"lstm.{layer}.bias"] = layout(bias_ih + bias_hh)
    return tensors


def gradients(model):
    """Their gradients. The gradient of a sum of two biases is that of either."""
    tensors = {}
    for layer in range(LAYERS):
        weight_ih, weight_hh, bias_ih, _ = (weight.grad for weight in model.all_weights[layer])
        tensors[f"lstm.{layer}.input_weight"] = layout(weight_ih)
        tensors[f"lstm.{layer}.hidden_weight"] = layout(weight_hh)
        tensors[f"lstm.{layer}.bias"] = layout(bias_ih)
    return tensors


def layout(tensor):
    """From [4 hidden, inputs] with gates i, f, g, o to [inputs, 4 hidden] with gates i, f, o, g; a bias has no inputs."""
    i, f, g, o = tensor.chunk(4)
    return torch.cat([i, f, o, g]).transpose(0, -1)


def embedding(draws):
    items, width, steps, rate = 9, 4, 3, 0.05
    start = draws.normal(items, width)
    ids = torch.tensor(
        [
            [[0, 1, 1, 2], [3, 1, 0, 7], [2, 2, 2, 1]],
            [[4, 4, 5, 1], [6, 0, 4, 4], [5, 5, 1, 3]],
            [[7, 3, 7, 3], [1, 2, 2, 0], [7, 0, 6, 6]],
        ]
    )
    factors = draws.normal(*ids.shape, width)

    def train(sparse):
        table = nn.Embedding(items, width, sparse=sparse, dtype=torch.float64)
        table.weight.data.copy_(start)
        optimiser = (torch.optim.SparseAdam if sparse else torch.optim.Adam)(table.parameters(), lr=rate)
        tables, gradients = [], []
        for step in range(steps):
            optimiser.zero_grad()
            (factors[step] * table(ids[step]).square()).sum().backward()
            optimiser.step()
            gradients.append(table.weight.grad.to_dense().clone())
            tables.append(table.weight.detach().clone())
        return torch.stack(tables), torch.stack(gradients)

    adam, gradients = train(sparse=False)
    sparse_adam, _ = train(sparse=True)
    tensors = {"start": start, "ids": ids, "factors": factors}
    return tensors | {"gradients": gradients, "adam": adam, "sparse_adam": sparse_adam}


def softmax(draws):
    rows, hidden, items = 6, 5, 11
    leaves = {"h": draws.normal(rows, hidden), "weight": draws.normal(hidden, items), "bias": draws.normal(items)}
    leaves = {name: value.requires_grad_() for name, value in leaves.items()}
    targets = torch.tensor([3, 0, 10, 3, 7, 5])
    logits = leaves["h"] @ leaves["weight"] + leaves["bias"]
    loss = nn.functional.cross_entropy(logits, targets)
    loss.backward()
    gradients = {f"gradient.{name}": value.grad for name, value in leaves.items()}
    return leaves | {"targets": targets, "logits": logits, "loss": loss} | gradients


def training(draws):
    start = nn.LSTM(INPUTS, HIDDEN, LAYERS, batch_first=True, dtype=torch.float64)
    for name, parameter in start.named_parameters():
        # Adam would move each of two biases as far as our one.
        parameter.data = draws.normal(*parameter.shape, sd=0.5) * (not name.startswith("bias_hh"))
    given = {"x": draws.normal(ROWS, TIME, INPUTS), "factors": draws.normal(ROWS, TIME, HIDDEN)}
    tensors = given | {f"start.{name}": value for name, value in parameters(start).items()}
    for kind, dtype in [("f32", torch.float32), ("f64", torch.float64)]:
        model = nn.LSTM(INPUTS, HIDDEN, LAYERS, batch_first=True, dtype=dtype)
        model.load_state_dict(start.state_dict())
        named = model.named_parameters()
        learned = [parameter for name, parameter in named if not name.startswith("bias_hh")]
        optimiser = torch.optim.Adam(learned, lr=0.05)
        norms = []
        for _ in range(5):
            model.zero_grad()
            outputs, _ = model(given["x"].to(dtype))
            (given["factors"].to(dtype) * outputs.square()).sum().backward()
            norms.append(nn.utils.clip_grad_norm_(learned, CLIP))
            optimiser.step()
        tensors[f"{kind}.norms"] = torch.stack(norms)
        tensors |= {f"{kind}.end.{name}": value for name, value in parameters(model).items()}
    return tensors


def write(name, tensors):
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, FOLDER / f"{name}.safetensors")


if __name__ == "__main__":
    main()
