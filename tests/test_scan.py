"""SCAN is the published data set: its pairs by checksum, its splits by size, and what its words mean."""

import hashlib

import pytest

from utils.data.scan import SPLITS, actions, commands, load_scan


def test_is_the_published_set():
    lines = sorted(f"IN: {command} OUT: {actions(command)}\n" for command in commands())
    assert len(lines) == len(set(lines)) == 20_910
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert digest == "6be4b39bc8bf3a20be810b6991250d0493e608560609db6765dd679e1ed1c98e"


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("jump", "I_JUMP"),
        ("turn left", "I_TURN_LEFT"),
        ("turn opposite right", "I_TURN_RIGHT I_TURN_RIGHT"),
        ("look opposite left twice", "I_TURN_LEFT I_TURN_LEFT I_LOOK " * 2),
        ("run around right", "I_TURN_RIGHT I_RUN " * 4),
        ("walk left and jump thrice", "I_TURN_LEFT I_WALK I_JUMP I_JUMP I_JUMP"),
        ("walk left after jump thrice", "I_JUMP I_JUMP I_JUMP I_TURN_LEFT I_WALK"),
    ],
)
def test_actions_by_hand(command, meant):
    assert actions(command) == meant.strip()


@pytest.mark.parametrize(
    ("split", "train", "test"),
    [("simple", 16_728, 4_182), ("length", 16_990, 3_920), ("jump", 14_670, 7_706), ("turn left", 21_890, 1_208)],
)
def test_splits_are_as_large_as_the_published_ones_and_share_nothing(split, train, test):
    known, asked = load_scan(split)
    assert (len(known), len(asked)) == (train, test)
    assert not {command for command, _ in known} & {command for command, _ in asked}
    assert {command for command, _ in known + asked} == set(commands())


def test_what_the_hard_splits_hold_back():
    known, asked = load_scan("length")
    assert max(len(a.split()) for _, a in known) == 22
    assert {len(a.split()) for _, a in asked} == {24, 25, 26, 27, 28, 30, 32, 33, 36, 40, 48}
    known, asked = load_scan("jump")
    assert {c for c, _ in known if "jump" in c} == {"jump"}
    assert all("jump" in c and len(c.split()) > 1 for c, _ in asked)
    assert sum(c == "jump" for c, _ in known) == 1_467


def test_the_seed_deals_the_simple_split():
    assert load_scan("simple", 1) == load_scan("simple", 1) != load_scan("simple", 2)


@pytest.mark.parametrize("command", ["", "turn", "fly left", "walk walk", "jump twice left", "walk and", "run run"])
def test_an_unknown_command_is_named(command):
    with pytest.raises(ValueError, match="SCAN has no command"):
        actions(command)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="unknown split 'hard'; choose one of simple, length"):
        load_scan("hard")
    assert SPLITS == ("simple", "length", "jump", "turn left")
