"""PyTorch's times on the processor, for comparison with ours.

    torch_nn.py --serve
        answers requests until its input ends. The first line it writes is {"name": "PyTorch VERSION"}. A request is one
        line of JSON, a case with its sizes, the number of threads and how long to measure, in seconds:
            {"case": "train", "hidden": 64, "batch": 32, "time": 10, "threads": 1, "seconds": 0.5}
        The answer is one line: {"seconds": MEDIAN}, of the runs of the case, or {"error": WHY}.
        `cargo xtask bench nn --peer torch` speaks this.
    torch_nn.py [--threads 1 2] [--seconds 0.5]
        measures the grid below and writes a line for each case: the request with its answer.

Cases (f32 everywhere; D = 50 inputs, 2 layers):
    train      hidden, batch, time        forward, mean of squared outputs, backward, fused Adam of nn.LSTM
    act        hidden, batch, gather      one step with carried state and without gradients; with `gather` the state's rows
                                          are first picked by index
    softmax    rows                       cross-entropy of nn.Linear from hidden 512 to 40,000 items, with the gradients of
                                          its inputs, weight and bias
    embedding  sparse                     640 rows of a table of 40,000 x 50, their squares' mean, backward, and SparseAdam
                                          or fused Adam of the whole table
    gemm       m, n, k                    the product of [m, k] and [k, n]
"""

import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn

INPUTS, LAYERS = 50, 2
ITEMS, SOFTMAX_HIDDEN = 40_000, 512
EMBEDDING_WIDTH, IDS = 50, 640


def main():
    parser = argparse.ArgumentParser(description="PyTorch's times on the processor.")
    parser.add_argument("--serve", action="store_true", help="answer requests from the standard input")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each case")
    args = parser.parse_args()
    torch.set_flush_denormal(False)
    if args.serve:
        say({"name": f"PyTorch {torch.__version__}"})
        for line in sys.stdin:
            say(answer(line))
    else:
        for threads in args.threads:
            for case in grid():
                request = case | {"threads": threads, "seconds": args.seconds}
                say(request | {"seconds": measure(request)})


def grid():
    yield {"case": "gemm", "m": 2048, "n": 2048, "k": 2048}
    yield {"case": "gemm", "m": 4096, "n": 2048, "k": 512}
    for hidden in [64, 512]:
        for batch in [32, 64, 256]:
            for steps in [4, 10, 20]:
                yield {"case": "train", "hidden": hidden, "batch": batch, "time": steps}
    for hidden in [64, 512]:
        for batch in [1, 8, 64]:
            for gather in [False, True]:
                yield {"case": "act", "hidden": hidden, "batch": batch, "gather": gather}
    for rows in [64, 256]:
        yield {"case": "softmax", "rows": rows}
    for sparse in [True, False]:
        yield {"case": "embedding", "sparse": sparse}


def say(message):
    print(json.dumps(message), flush=True)


def answer(line):
    try:
        return {"seconds": measure(json.loads(line))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def measure(request):
    """The median seconds of a run, of at least 3, after a tenth of the time and at least 1 to warm up."""
    sizes = dict(request)
    case, threads, seconds = (sizes.pop(name) for name in ["case", "threads", "seconds"])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    run = CASES[case](**sizes)
    repeat(run, seconds / 10, 1)
    return statistics.median(repeat(run, seconds, 3))


def repeat(run, seconds, least):
    times = []
    begin = time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def train(hidden, batch, time):
    lstm = nn.LSTM(INPUTS, hidden, LAYERS, batch_first=True)
    adam = torch.optim.Adam(lstm.parameters(), lr=5e-4, fused=True)
    x = torch.randn(batch, time, INPUTS)

    def run():
        adam.zero_grad()
        outputs, _ = lstm(x)
        outputs.square().mean().backward()
        adam.step()

    return run


def act(hidden, batch, gather):
    lstm = nn.LSTM(INPUTS, hidden, LAYERS, batch_first=True)
    x = torch.randn(batch, 1, INPUTS)
    rows = torch.randint(batch, (batch,))
    state = (torch.zeros(LAYERS, batch, hidden), torch.zeros(LAYERS, batch, hidden))

    @torch.no_grad()
    def run():
        nonlocal state
        if gather:
            h, c = state
            state = (h.index_select(1, rows), c.index_select(1, rows))
        _, state = lstm(x, state)

    return run


def softmax(rows):
    h = torch.randn(rows, SOFTMAX_HIDDEN, requires_grad=True)
    linear = nn.Linear(SOFTMAX_HIDDEN, ITEMS)
    targets = torch.randint(ITEMS, (rows,))

    def run():
        h.grad = None
        linear.zero_grad()
        nn.functional.cross_entropy(linear(h), targets).backward()

    return run


def embedding(sparse):
    table = nn.Embedding(ITEMS, EMBEDDING_WIDTH, sparse=sparse)
    if sparse:
        adam = torch.optim.SparseAdam(table.parameters(), lr=5e-4)
    else:
        adam = torch.optim.Adam(table.parameters(), lr=5e-4, fused=True)
    ids = torch.randint(ITEMS, (IDS,))

    def run():
        adam.zero_grad()
        table(ids).square().mean().backward()
        adam.step()

    return run


def gemm(m, n, k):
    a, b = torch.randn(m, k), torch.randn(k, n)
    return lambda: a @ b


CASES = {"train": train, "act": act, "softmax": softmax, "embedding": embedding, "gemm": gemm}


if __name__ == "__main__":
    main()
