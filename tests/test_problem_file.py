"""Problem files: exact reading, round trips, and one line for every broken file."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mdtheory import check
from mdtheory.problem_file import AXES, dump_problem, load_problem, parse_problem
from tests.random_problems import exact_case, exact_cases, float_case, toy_case

CASE = exact_case(np.random.default_rng(0))
TEXT = dump_problem(CASE.problem, CASE.policy, CASE.baseline)
VALID: dict[str, Any] = json.loads(TEXT)


def test_exact_round_trip_keeps_every_fraction():
    for case in exact_cases(np.random.default_rng(1), 20):
        text = dump_problem(case.problem, case.policy, case.baseline)
        file = parse_problem(text, in_rationals=True)
        again = dump_problem(file.problem, file.policy, file.baseline)
        assert text == again
        reports = [
            check(case.problem, case.policy, case.baseline).to_json(),
            check(file.problem, file.policy, file.baseline).to_json(),
        ]
        assert reports[0] == reports[1]


def test_float_round_trip_keeps_every_bit():
    case = float_case(np.random.default_rng(2))
    file = parse_problem(dump_problem(case.problem, case.policy))
    for name in ("transition", "reward", "initial", "discount", "reward_bounds"):
        assert (getattr(file.problem.mdp, name) == getattr(case.problem.mdp, name)).all()
    assert (file.policy.probabilities == case.policy.probabilities).all()
    assert file.baseline is None


def test_decimals_are_read_exactly():
    for written in (0.1, "0.1", "1/10", "1e-1", ".1", "+0.1", " 1/10 "):
        file = parse_problem(json.dumps(VALID | {"discount": written}), in_rationals=True)
        assert file.problem.mdp.discount[()] == Fraction(1, 10)
        assert parse_problem(json.dumps(VALID | {"discount": written})).problem.mdp.discount == 0.1


def test_optional_keys_may_be_left_out_or_null():
    for content in (
        {k: v for k, v in VALID.items() if k not in ("reward_bounds", "baseline_policies")},
        VALID | {"reward_bounds": None, "baseline_policies": None},
    ):
        file = parse_problem(json.dumps(content), in_rationals=True)
        assert file.baseline is None
        reward = file.problem.mdp.reward
        assert file.problem.mdp.reward_bounds.tolist() == [reward.min(), reward.max()]


def test_without_rationals_everything_is_float64():
    file = parse_problem(TEXT)
    assert not file.problem.exact
    assert not file.policy.exact
    assert file.problem.renderings.weights.dtype == np.float64


def test_files_are_read_from_disk(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(TEXT, encoding="utf-8")
    assert dump_problem(*load_problem(path, in_rationals=True)) == TEXT


def test_a_toy_survives_the_file():
    case = toy_case("long-horizon")
    file = parse_problem(dump_problem(case.problem, case.policy, case.baseline), in_rationals=True)
    report = check(file.problem, file.policy, file.baseline)
    assert report["A2"].rhs == Fraction(625, 13)


ODD_VALUES: tuple[Any, ...] = (
    None, True, "text", "", [], {}, [[]], {"a": [1]}, 0, -1, 7, 1.5, "1/0", "1/00", "nan", "-3/-4",
    "1e999", "1e999999999", float("nan"), float("inf"), [None], [True], [[1, 2], [3]], "९/१०",
    ["1/2", "1/2"], [1] * 50, 10**400, "9" * 5000, "1_0", "0x1", "1/2/3", "\n", "\ud800",
)  # fmt: skip


def mutated_values() -> list[str]:
    """Each key deleted, repeated, or replaced by each odd value."""
    texts = []
    for key in AXES:
        texts.append(json.dumps({k: v for k, v in VALID.items() if k != key}))
        texts.append(TEXT.replace("{\n", f"{{\n{json.dumps(key)}: {json.dumps(VALID[key])},\n"))
        texts += [json.dumps(VALID | {key: odd}) for odd in ODD_VALUES]
    return texts


def mutated_leaves(rng: random.Random, count: int) -> list[str]:
    """One random entry of a nested list replaced."""
    texts = []
    for _ in range(count):
        content = json.loads(TEXT)
        key = rng.choice([k for k in content if isinstance(content[k], list)])
        node = content[key]
        while isinstance(node[0], list) and rng.random() < 0.8:
            node = rng.choice(node)
        node[rng.randrange(len(node))] = rng.choice(ODD_VALUES)
        texts.append(json.dumps(content))
    return texts


def mutated_texts(rng: random.Random, count: int) -> list[str]:
    """Truncated, or one character replaced, or a huge literal in place of a number."""
    texts = [TEXT[: rng.randrange(len(TEXT))] for _ in range(count)]
    for _ in range(count):
        k = rng.randrange(len(TEXT))
        texts.append(TEXT[:k] + rng.choice('{}[]",:x0-\x00') + TEXT[k + 1 :])
    for literal in ("1e999999999", "-1e999999999", "NaN", "Infinity", "9" * 9000, "1e-999999999"):
        texts.append(json.dumps(VALID | {"discount": "X"}).replace('"X"', literal))
        texts.append(json.dumps(VALID | {"initial": "X"}).replace('"X"', f"[{literal}]"))
    return [*texts, "", "null", "[]", "3", '"text"', "{}", "\ufeff{}"]


def outcome(text: str, *, in_rationals: bool) -> str | None:
    """None when the text is accepted, the message of the ValueError otherwise."""
    try:
        file = parse_problem(text, in_rationals=in_rationals)
    except ValueError as error:
        return str(error)
    assert check(file.problem, file.policy, file.baseline).holds
    return None


@pytest.mark.parametrize("in_rationals", [False, True])
def test_mutated_files_raise_one_line_value_errors_or_make_a_true_report(in_rationals):
    rng = random.Random(0)
    texts = [*mutated_values(), *mutated_leaves(rng, 150), *mutated_texts(rng, 60)]
    messages = [outcome(text, in_rationals=in_rationals) for text in texts]
    refused = [message for message in messages if message is not None]
    assert len(refused) > 0.8 * len(texts)
    for message in refused:
        assert message.strip()
        assert "\n" not in message


@pytest.mark.parametrize("depth", [3, 40, 200, 5000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_deep_nesting_is_one_value_error(depth, brackets):
    inside = "[" * depth + "]" * depth if brackets == "[]" else '{"a":' * depth + "1" + "}" * depth
    for text in (inside, json.dumps(VALID | {"reward": "X"}).replace('"X"', inside)):
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            parse_problem(text)


@pytest.mark.parametrize("depth", [600, 800])
def test_nesting_that_json_accepts_but_we_do_not_is_a_value_error(depth):
    text = json.dumps(VALID | {"reward": "X"}).replace('"X"', "[" * depth + "]" * depth)
    with pytest.raises(ValueError, match=r"^[^\n]{,200}$"):
        parse_problem(text)


@pytest.mark.parametrize("key", ["discount", "train"])
def test_a_huge_number_is_abbreviated_in_the_message(key):
    with pytest.raises(ValueError, match=r"^[^\n]{,200}$"):
        parse_problem(json.dumps(VALID | {key: "X"}).replace('"X"', "9" * 3000), in_rationals=True)


def test_a_number_among_the_booleans_is_shown_as_the_file_has_it():
    with pytest.raises(ValueError, match=r"^train\[f=0\] must be true or false, got 1$"):
        parse_problem(json.dumps(VALID | {"train": [1, 0, 0]}))


def test_deep_nesting_is_a_short_message():
    text = json.dumps(VALID | {"reward": "X"}).replace('"X"', "[" * 200 + "]" * 200)
    with pytest.raises(ValueError, match=r"^[^\n]{,200}$"):
        parse_problem(text)


def test_a_zero_denominator_in_any_script_is_a_value_error():
    with pytest.raises(ValueError, match="discount must be a number"):
        parse_problem(json.dumps(VALID | {"discount": "1/٠"}), in_rationals=True)


def test_a_long_wrong_sum_is_still_named():
    initial = ["1/" + "7" * 3900, "1/" + "9" * 3901, 0]
    with pytest.raises(ValueError, match="initial must sum to 1"):
        parse_problem(json.dumps(VALID | {"initial": initial}), in_rationals=True)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(VALID), encoding="utf-8-sig")
    assert load_problem(path).problem.mdp.n_states == len(VALID["initial"])
