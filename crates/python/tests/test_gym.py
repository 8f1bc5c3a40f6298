"""Environments: actions, observations, seeds, and what is refused."""

import copy
import pickle
import threading
import warnings

import gymnasium
import numpy as np
import pytest
from conftest import leavers
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import foretaste
from foretaste.gym import UsersEnv, UsersVectorEnv

IDS = ["foretaste/Mdp-v0", "foretaste/ChoiceUsers-v0", "foretaste/Shop-v0"]
FORMS = ["slate", "scores", "item"]


@pytest.mark.parametrize("action", FORMS)
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_finds_nothing_wrong(name, action):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name, action=action)
        check_env(env.unwrapped)
        gymnasium.make_vec(name, num_envs=3, vectorization_mode="vector_entry_point").reset(seed=1)


def test_a_repeated_item_is_replaced_by_the_smallest_that_is_not_shown(stayers):
    env = UsersEnv(stayers, k=4, exclude=[1])
    env.reset(seed=0)
    for slate, repaired in [([5, 4, 3, 2], 0), ([5, 5, 5, 2], 2), ([1, 0, 4, 4], 2), ([1] * 4, 4)]:
        *_, info = env.step(slate)
        assert info["repaired"] == repaired, slate
        assert info["clicked"] in {0, 2, 3, 4, 5}


def test_the_repair_shows_what_the_rule_says(stayers):
    """Equal sessions, once with the repeated item and once with what the rule makes of it."""
    wrong, right = (UsersVectorEnv(stayers, 500, k=3, exclude=[0]) for _ in range(2))
    wrong.reset(seed=3), right.reset(seed=3)
    for _ in range(5):
        ours = wrong.step(np.tile([4, 0, 4], (500, 1)))
        theirs = right.step(np.tile([4, 1, 2], (500, 1)))
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert (ours[4]["repaired"] == 2).all() and (theirs[4]["repaired"] == 0).all()


def test_scores_show_the_highest_and_of_equals_the_smaller(stayers):
    scored, shown = (
        UsersVectorEnv(stayers, 300, k=3, action=action) for action in ("scores", "slate")
    )
    scored.reset(seed=1), shown.reset(seed=1)
    scores = np.array([0.5, -np.inf, 0.9, 0.5, 0.5, np.inf], np.float32)
    ours = scored.step(np.tile(scores, (300, 1)))
    theirs = shown.step(np.tile([5, 2, 0], (300, 1)))
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_items_one_by_one_make_the_same_slates(stayers):
    single, whole = UsersEnv(stayers, k=3, action="item"), UsersEnv(stayers, k=3)
    seen, _ = single.reset(seed=8)
    whole.reset(seed=8)
    assert seen.tolist() == [6] * 12
    for _ in range(10):
        assert single.step(4)[:2] == (pytest.approx([*seen[:10], 4, 6]), 0.0)
        assert single.action_masks().tolist() == [True] * 4 + [False, True]
        observation, *_, info = single.step(4)
        assert observation[-2:].tolist() == [4, 0] and info["repaired"] == 1
        assert info["action_mask"].tolist() == [0, 1, 1, 1, 0, 1]
        seen, reward, *_, info = single.step(2)
        theirs = whole.step([4, 0, 2])
        assert seen.tolist() == [*theirs[0], 6, 6]
        assert (reward, info["clicked"]) == (theirs[1], theirs[4]["clicked"])


def test_masks_hold_one_entry_for_each_item_of_each_place():
    users = foretaste.Users.choice_users(items=6, leaving=None)
    env = UsersEnv(users, k=3, exclude=[2, 5])
    env.reset(seed=0)
    place = [True, True, False, True, True, False]
    assert env.action_masks().tolist() == place * 3
    assert env.action_masks().shape == (env.action_space.nvec.sum(),)
    assert env.action_masks().dtype == bool
    masks = tuple(np.array_split(env.action_masks().astype(np.int8), 3))
    repeats = 0
    for _ in range(200):
        slate = env.action_space.sample(mask=masks)
        assert not {2, 5} & set(slate.tolist())
        repeats += env.step(slate)[4]["repaired"] > 0
    # 24 of 64 slates repeat no item; 200 draws, five standard deviations: a false alarm in a
    # million.
    assert abs(repeats / 200 - 0.625) < 5 * np.sqrt(0.625 * 0.375 / 200)


def test_shapes_of_actions_and_masks():
    users = foretaste.Users.choice_users(items=4)
    vector = UsersVectorEnv(users, 3, k=2)
    vector.reset(seed=0)
    assert vector.action_space.shape == (3, 2) and vector.action_masks().shape == (3, 8)
    ones = UsersVectorEnv(users, 2, k=1, action="item")
    ones.reset(seed=0)
    assert ones.action_space.shape == (2,) and ones.action_masks().shape == (2, 4)
    single = UsersEnv(users, k=2)
    single.reset(seed=0)
    assert single.action_space.shape == (2,) and single.action_masks().shape == (8,)


@pytest.mark.parametrize("kind", ["mdp", "choice users"])
def test_regret_is_0_for_the_best_slate_and_explains_what_is_missing_to_the_optimum(kind):
    if kind == "mdp":
        users, steps = foretaste.Users.mdp(states=3, items=5, users_seed=4), None
    else:
        users, steps = foretaste.Users.choice_users(types=1, items=5, users_seed=4), 4
    pairs = [(a, b) for a in range(5) for b in range(a)]
    every = UsersVectorEnv(users, len(pairs), k=2, regret=True, max_steps=steps)
    every.reset(seed=0)
    regrets = every.step(np.array(pairs))[4]["regret"]
    assert regrets.min() == pytest.approx(0, abs=1e-9) and regrets.max() > 0.01

    n = 20_000
    env = UsersVectorEnv(
        users, n, k=2, regret=True, max_steps=steps, autoreset_mode="Disabled"
    )
    env.reset(seed=1)
    single = UsersEnv(users, k=2, regret=True, max_steps=steps)
    single.reset(seed=1)
    rng, totals, over = np.random.default_rng(0), np.zeros((2, n)), np.zeros(n, bool)
    while not over.all():
        first = rng.integers(5, size=n)
        slates = np.stack([first, (first + rng.integers(1, 5, size=n)) % 5], axis=1)
        _, rewards, left, cut, infos = env.step(slates)
        if not over[0]:
            assert single.step(slates[0])[4]["regret"] == infos["regret"][0]
        totals += np.where(over, 0, [rewards, infos["regret"]])
        over |= left | cut
        if not over.all():
            # Sessions that are over begin again, and count no more.
            env.reset(options={"reset_mask": left | cut}) if (left | cut).any() else None
    both = totals.sum(axis=0)
    error = both.std() / np.sqrt(n)
    assert abs(both.mean() - users.optimum(2, steps)) < 4 * error
    assert totals[1].mean() > 10 * error


def test_regret_is_refused_where_the_best_slates_are_not_known():
    with pytest.raises(ValueError, match="Users.mdp and Users.choice_users alone"):
        UsersEnv(foretaste.Users.shop(items=5), k=3, regret=True)
    with pytest.raises(ValueError, match="leave exclude empty"):
        UsersEnv(foretaste.Users.mdp(states=3, items=5), k=2, regret=True, exclude=[1])


def test_too_few_items_for_a_slate_are_refused():
    users = foretaste.Users.choice_users(items=5)
    with pytest.raises(ValueError, match="3 of 2 items"):
        UsersEnv(users, k=3, exclude=[0, 2, 4])
    with pytest.raises(ValueError, match="item 5 of 5"):
        UsersEnv(users, k=3, exclude=[5])


@pytest.mark.parametrize("action", FORMS)
def test_sessions_depend_on_neither_threads_nor_neighbours(action):
    users = foretaste.Users.mdp(states=5, items=12)

    def play(n, threads):
        env = UsersVectorEnv(users, n, k=4, action=action, max_steps=7, threads=threads)
        draws = np.random.default_rng(0)
        env.reset(seed=9)
        played = []
        for _ in range(40):
            actions = [
                draws.random((1, 12)),
                draws.integers(0, 12, (1, 4)),
                draws.integers(0, 12, 1),
            ]
            one = dict(zip(["scores", "slate", "item"], actions))[action]
            step = env.step(np.repeat(one, n, axis=0))
            played.append([part[:3].copy() for part in (*step[:4], step[4]["session"])])
        return played

    alone = play(3, 1)
    for n, threads in [(3, 2), (2_500, 1), (2_500, 3)]:
        for ours, theirs in zip(alone, play(n, threads)):
            for our, their in zip(ours, theirs):
                np.testing.assert_array_equal(our, their)


def test_one_session_of_many_can_be_replayed_alone():
    users = foretaste.Users.mdp(states=5, items=12)
    vector = UsersVectorEnv(users, 50, k=4, autoreset_mode=AutoresetMode.SAME_STEP)
    vector.reset(seed=4)
    slates = np.random.default_rng(1).permuted(np.tile(np.arange(12), (30, 50, 1)), axis=2)[..., :4]
    steps = [vector.step(slate) for slate in slates]
    begins = [at for at in range(1, 30) if steps[at - 1][2][17]][2]
    number = steps[begins - 1][4]["session"][17]
    assert number == 17 * 2**32 + 3
    env = UsersEnv(users, k=4)
    _, info = env.reset(seed=4, options={"session": int(number)})
    assert info["session"] == number
    for at in range(begins, 30):
        observation, reward, terminated, *_ = env.step(slates[at, 17])
        assert reward == steps[at][1][17] and terminated == steps[at][2][17]
        if terminated:
            break
        np.testing.assert_array_equal(observation, steps[at][0][17])


def test_the_last_of_a_session_is_kept_aside():
    env = UsersVectorEnv(leavers(3), 2, k=2, history=3, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    for _ in range(2):
        *_, info = env.step(np.zeros((2, 2), int))
        assert "final_obs" not in info and info["_clicks"].all()
    observation, *_, info = env.step(np.zeros((2, 2), int))
    assert (observation == 4).all()
    assert all((last[:2] < 4).all() and last[2] == 4 for last in info["final_obs"])
    assert info["final_info"]["clicked"].tolist() == [-1, -1]
    assert info["final_info"]["session"].tolist() == [0, 2**32]
    assert info["session"].tolist() == [1, 2**32 + 1]
    assert not info["_clicks"].any() and info["_final_info"].all()


def test_the_state_is_that_of_the_users():
    env = UsersEnv(leavers(4), k=2, observation="state")
    assert env.observation_space.nvec.tolist() == [4]
    observation, _ = env.reset(seed=0)
    seen = [observation.item()]
    for _ in range(3):
        seen.append(env.step([0, 1])[0].item())
    assert seen == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no state that could be shown"):
        UsersEnv(foretaste.Users.choice_users(), observation="state")


def test_the_optimum_is_what_the_best_slates_earn():
    assert leavers(4).optimum(2) == pytest.approx(3.0)
    users = foretaste.Users.mdp(states=1, items=3)
    # One state: the best slate of one item is clicked with probability r until it is not.
    best = users.optimum(1)
    env = UsersVectorEnv(users, 2_000, k=1, action="item", autoreset_mode="SameStep")
    earned = []
    for item in range(3):
        env.reset(seed=item)
        steps = [env.step(np.full(2_000, item)) for _ in range(20)]
        reward, ended = (sum(step[at].sum() for step in steps) for at in (1, 2))
        earned.append(reward / ended)
    assert max(earned) == pytest.approx(best, rel=0.1)
    assert foretaste.Users.shop().optimum(3) is None
    with pytest.raises(ValueError, match="not cut; leave it out"):
        users.optimum(1, 5)
    with pytest.raises(ValueError, match="give the number of slates"):
        foretaste.Users.choice_users().optimum(3)
    with pytest.raises(ValueError, match="more than 20000000 values"):
        foretaste.Users.choice_users(items=300).optimum(3, 1000)


def test_wrong_actions_are_refused_and_change_nothing(stayers):
    env = UsersVectorEnv(stayers, 3, k=2)
    unharmed = UsersVectorEnv(stayers, 3, k=2)
    env.reset(seed=2), unharmed.reset(seed=2)
    good = np.array([[0, 1], [2, 3], [4, 5]])
    for action, words in [
        (good[:2], r"shape \(2, 2\); expected \(3, 2\)"),
        (good[:, :1], r"shape \(3, 1\)"),
        (good.astype(float), "dtype float64; expected integers"),
        (good + [[0, 0], [0, 3], [0, 0]], "environment 1, place 1: item 6; expected one of 0 to 5"),
        (good - 1, "environment 0, place 0: item -1"),
    ]:
        with pytest.raises(ValueError, match=words):
            env.step(action)
        np.testing.assert_array_equal(env.step(good)[0], unharmed.step(good)[0])


def test_scores_that_are_no_numbers_are_refused(stayers):
    env = UsersEnv(stayers, k=2, action="scores")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="environment 0: the score of item 4 is NaN"):
        env.step(np.array([0, 1, 2, 3, np.nan, 5]))
    assert env.step(np.arange(6))[1] == 1.0


def test_the_action_of_a_session_that_only_begins_is_ignored(stayers):
    env = UsersVectorEnv(stayers, 2, k=2, max_steps=1, action="scores")
    env.reset(seed=0)
    env.step(np.zeros((2, 6)))
    observation, rewards, *_, info = env.step(np.full((2, 6), np.nan))
    assert (observation == 6).all() and (rewards == 0).all() and not info["_clicks"].any()


def test_ended_sessions_must_be_reset_where_nothing_resets_them():
    env = UsersEnv(leavers(1), k=2)
    with pytest.raises(ResetNeeded, match="no session yet"):
        env.step([0, 1])
    env.reset(seed=0)
    env.step([0, 1])
    with pytest.raises(ResetNeeded, match="over"):
        env.step([0, 1])
    vector = UsersVectorEnv(leavers(1), 3, k=2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ResetNeeded, match="no session yet"):
        vector.reset(options={"reset_mask": np.ones(3, bool)})
    vector.reset(seed=0)
    vector.step(np.zeros((3, 2), int))
    vector.reset(options={"reset_mask": np.array([True, False, True])})
    with pytest.raises(ResetNeeded, match="1 environments are over, that of environment 1 first"):
        vector.step(np.zeros((3, 2), int))


@pytest.mark.parametrize("mask", [[True, True], np.ones(2), np.ones(3, bool), np.zeros(2, bool)])
def test_wrong_masks_are_refused(stayers, mask):
    env = UsersVectorEnv(stayers, 2, k=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": mask})


def test_a_mask_with_a_seed_begins_anew_where_it_is_true():
    users = foretaste.Users.mdp(states=5, items=12)
    slate = np.tile([1, 2, 3, 4], (3, 1))
    env, fresh = (UsersVectorEnv(users, 3, k=4, autoreset_mode="SameStep") for _ in range(2))
    env.reset(seed=1), fresh.reset(seed=6)
    for _ in range(7):
        env.step(slate)
    _, info = env.reset(seed=6, options={"reset_mask": np.array([False, True, False])})
    assert info["_session"].tolist() == [False, True, False] and info["session"][1] == 2**32
    for _ in range(30):
        ours, theirs = env.step(slate), fresh.step(slate)
        np.testing.assert_array_equal(ours[0][1], theirs[0][1])
        assert ours[1][1] == theirs[1][1]


def test_unknown_options_are_refused(stayers):
    with pytest.raises(ValueError, match="reset_masks"):
        UsersVectorEnv(stayers, 2).reset(options={"reset_masks": None})
    with pytest.raises(ValueError, match="session"):
        UsersEnv(stayers).reset(options={"session": 3})


def test_a_closed_environment_says_so(stayers):
    env = UsersEnv(stayers, k=2)
    env.reset(seed=0)
    env.close(), env.close()
    for call in (env.reset, env.action_masks, lambda: env.step([0, 1])):
        with pytest.raises(ClosedEnvironmentError, match="closed"):
            call()
    vector = UsersVectorEnv(stayers, 2, k=2)
    vector.close(), vector.close()
    with pytest.raises(ClosedEnvironmentError):
        vector.reset(seed=0)


def test_two_threads_do_not_share_an_environment():
    users = foretaste.Users.mdp(states=10, items=50)
    env = UsersVectorEnv(users, 200_000, k=10, threads=1)
    env.reset(seed=0)
    actions = np.tile(np.arange(10), (200_000, 1))
    refused, finished = [], []

    def step():
        for _ in range(15):
            try:
                finished.append(env.step(actions))
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=step) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert finished and refused
    assert set(refused) == {
        "another thread is using this environment; give each thread an environment of its own"
    }
    env.step(actions)


def test_other_threads_run_while_users_answer():
    """The lock of the interpreter is released: a counter goes on during one long step."""
    users = foretaste.Users.shop(items=2_000)
    env = UsersVectorEnv(users, 20_000, k=10, action="scores", threads=1)
    env.reset(seed=0)
    scores = np.random.default_rng(0).random((20_000, 2_000), dtype=np.float32)
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    env._core.step(scores)
    during = counted[0] - before
    stop.set()
    thread.join()
    assert during > 1_000


@pytest.mark.parametrize("name", IDS)
def test_copies_and_pickles_hold_the_settings(name):
    env = gymnasium.make(name, k=3, users_seed=5, history=2).unwrapped
    env.reset(seed=1)
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert other.spec == env.spec
        assert other.action_space == env.action_space
        with pytest.raises(ResetNeeded):
            other.step([0, 1, 2])
        env.reset(seed=2), other.reset(seed=2)
        for _ in range(20):
            ours, theirs = env.step([0, 1, 2]), other.step([0, 1, 2])
            assert ours[0].tolist() == theirs[0].tolist() and ours[1:] == theirs[1:]
            if ours[2]:
                break
    vector = UsersVectorEnv(leavers(2), 3, k=2, autoreset_mode="Disabled")
    other = pickle.loads(pickle.dumps(vector))
    assert other.metadata == vector.metadata and other.num_envs == 3


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(k=0), "k"),
        (dict(k=7), "7 of 6"),
        (dict(history=0), "history"),
        (dict(max_steps=0), "max_steps"),
        (dict(action="slates"), 'expected "slate", "scores" or "item"'),
        (dict(observation="clicks"), 'expected "history" or "state"'),
    ],
)
def test_settings_out_of_range_are_refused(stayers, settings, words):
    with pytest.raises(ValueError, match=words):
        UsersEnv(stayers, **settings)
    with pytest.raises(ValueError, match=words):
        UsersVectorEnv(stayers, 2, **settings)


def test_users_out_of_range_are_refused():
    for wrong in (
        lambda: foretaste.Users.mdp(states=0),
        lambda: foretaste.Users.mdp(rewards=np.ones((2, 3))),
        lambda: foretaste.Users.mdp(rewards=np.ones((2, 3)), transitions=np.ones((2, 3, 3))),
        lambda: foretaste.Users.mdp(rewards=np.full((1, 1), 2.0), transitions=np.ones((1, 1, 1))),
        lambda: foretaste.Users.shop(patience=float("nan")),
        lambda: foretaste.Users.choice_users(leaving=2.0),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(ValueError, match="there is no folder nowhere"):
        foretaste.Users.load("nowhere")


def test_a_panic_is_an_exception():
    with pytest.raises(RuntimeError, match="internal error: asked for.*please report it"):
        foretaste._core._panic()
