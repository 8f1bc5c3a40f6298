"""Steps a second of the package's vector environment, beside Gymnasium's own CartPole.

    environments.py --serve
        answers requests until its input ends. The first line it writes is
            {"name": "foretaste on gymnasium VERSION, numpy VERSION"}
        A request is one line of JSON:
            {"environment": "mdp", "sessions": 1024, "steps": 1000000, "mode": "SameStep"}
        The answer is one line: {"seconds": TIME} of one transition, or {"error": WHY}.
        `cargo xtask bench python` speaks this.

Environments:
    mdp        IRecGAN's synthetic users on one thread, random slates of 10 of 50 items, drawn
               before
    cartpole   gymnasium.make_vec("CartPole-v1", vectorization_mode="vector_entry_point"), actions
               drawn before

Steps that only begin a session are no transitions: they take time and do not count.
"""

import argparse
import json
import sys
import time

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

import foretaste.gym  # noqa: F401: registers its environments

DRAWN = 16


def main():
    parser = argparse.ArgumentParser(description="Steps a second of vector environments.")
    about = "answer requests from the standard input"
    parser.add_argument("--serve", action="store_true", required=True, help=about)
    parser.parse_args()
    say({"name": f"foretaste on gymnasium {gymnasium.__version__}, numpy {np.__version__}"})
    for line in sys.stdin:
        say(answer(line))


def say(message):
    print(json.dumps(message), flush=True)


def answer(line):
    try:
        request = json.loads(line)
        sessions = request["sessions"]
        env, actions = MAKE[request["environment"]](sessions, request)
        next_step = env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        env.reset(seed=0)
        calls = max(request["steps"] // sessions, 3)
        idle, over = 0, np.zeros(sessions, bool)
        for call in range(3):
            env.step(actions[call % len(actions)])
        begin = time.perf_counter()
        for call in range(calls):
            idle += np.count_nonzero(over) if next_step else 0
            _, _, terminated, truncated, _ = env.step(actions[call % len(actions)])
            over = terminated | truncated
        seconds = time.perf_counter() - begin
        return {"seconds": seconds / (calls * sessions - idle)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def mdp(sessions, request):
    env = gymnasium.make_vec(
        "foretaste/Mdp-v0",
        num_envs=sessions,
        vectorization_mode="vector_entry_point",
        k=10,
        autoreset_mode=request["mode"],
        threads=1,
    )
    draws = np.random.default_rng(0).random((DRAWN, sessions, 50))
    return env, np.ascontiguousarray(draws.argsort(axis=2)[:, :, :10])


def cartpole(sessions, request):
    env = gymnasium.make_vec(
        "CartPole-v1", num_envs=sessions, vectorization_mode="vector_entry_point"
    )
    return env, np.random.default_rng(0).integers(0, 2, (DRAWN, sessions))


MAKE = {"mdp": mdp, "cartpole": cartpole}


if __name__ == "__main__":
    main()
