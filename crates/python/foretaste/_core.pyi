"""The compiled part of the package: what the modules beside it are made of."""

import os
from typing import Any, Sequence

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]
_Bools = NDArray[np.bool_]
_Stepped = tuple[_Ints, _Floats, _Bools, _Bools, _Ints, _Ints, _Ints, _Bools, _Ints, _Ints]
_Estimated = tuple[float, float | None, tuple[float, float] | None, float | None, list[str]]

class Users:
    items: int
    states: int | None
    raw_items: list[str] | None
    usual: tuple[int | None, int | None]

    @staticmethod
    def mdp(
        *,
        states: int = 10,
        items: int = 50,
        concentration: float | None = None,
        users_seed: int = 0,
        rewards: _Floats | None = None,
        transitions: _Floats | None = None,
    ) -> Users: ...
    @staticmethod
    def choice_users(
        *,
        types: int = 1,
        items: int = 50,
        dims: int = 8,
        position_weights: Sequence[float] = ...,
        base: float = 0.0,
        preference: float = 1.0,
        attraction: float = 2.0,
        boredom: float = 1.5,
        eta: float = 1.0,
        leaving: float | None = 0.2,
        users_seed: int = 0,
    ) -> Users: ...
    @staticmethod
    def shop(
        *,
        items: int = 2000,
        tastes: int = 5,
        appeal: float = 0.0046,
        spread: float = 0.8,
        affinity: float = 6.0,
        patience: float = 0.8,
        leaving: float = 0.25,
        users_seed: int = 0,
    ) -> Users: ...
    def optimum(self, k: int, max_steps: int | None = None) -> float | None: ...
    @staticmethod
    def load(users: str | os.PathLike[str]) -> Users: ...

class Environments:
    begun: bool

    def __init__(
        self,
        users: Users,
        n: int,
        *,
        k: int,
        action: str,
        history: int | None,
        max_steps: int,
        exclude: Sequence[int],
        regret: bool,
        autoreset: str,
        threads: int | None = None,
    ) -> None: ...
    def reset(self, seeds: Sequence[int], sessions: Sequence[int]) -> _Stepped: ...
    def reset_some(
        self,
        mask: _Bools,
        seeds: Sequence[int] | None,
        sessions: Sequence[int],
    ) -> _Stepped: ...
    def step(self, actions: NDArray[Any]) -> _Stepped: ...
    def masks(self) -> _Bools: ...
    def close(self) -> None: ...

class Log:
    name: str
    steps: int
    impressions: int
    items: list[str]

    @staticmethod
    def _read(options: Sequence[str]) -> Log: ...
    @staticmethod
    def _from_arrow(table: Any, name: str, options: Sequence[str]) -> Log: ...
    def _describe(self) -> str: ...
    def _save(self, path: str, force: bool) -> None: ...
    def _save_policy(self, path: str, probabilities: _Floats) -> None: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...
    def __len__(self) -> int: ...

class Recommender:
    path: os.PathLike[str]
    kind: str
    items: list[str]

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Recommender: ...
    def _recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int,
        candidates: Sequence[str] | None,
        exclude: Sequence[str],
        act: str | None,
        temperature: float,
        epsilon: float,
        seed: int,
    ) -> list[list[str]]: ...

def command(arguments: Sequence[str]) -> str: ...
def program(arguments: Sequence[str]) -> int: ...
def of_actions(
    estimator: str,
    reward: _Floats | None,
    logging: _Floats | None,
    evaluation: _Floats | None,
    logged: _Floats | None,
    expected: _Floats | None,
    cap: float,
) -> _Estimated: ...
def of_slates(
    estimator: str,
    lengths: Sequence[int],
    reward: _Floats,
    logging: _Floats,
    evaluation: _Floats,
    logged: _Floats | None,
    expected: _Floats | None,
) -> _Estimated: ...
def of_positions(
    estimator: str,
    k: int,
    reward: _Floats,
    logging: _Floats,
    evaluation: _Floats,
    examination: _Floats | None,
) -> _Estimated: ...
def _panic() -> None: ...
