"""A policy asks for more than approval: what it has against a bundle, and what it does not understand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import read_manifest, write_manifest
from graphopt_governance import actions
from graphopt_governance.errors import PolicyError, UnreachableError
from graphopt_governance.gate import ChainGate, FederationRefusedError
from graphopt_governance.home import Home
from graphopt_governance.verdict.policy import Policy, seconds

DOCUMENTED = Path(__file__).parents[2] / "docs" / "governance.md"


@pytest.fixture
def approved(bundle: Path, home: Home) -> Path:
    write_manifest(
        bundle,
        {
            "source": {"sha256": "ab" * 32},
            "options": {"level": "reassociate"},
            "targets": ["x86-64-v3", "x86-64-v4"],
            "evidence": {"checked": True, "worst_difference": 0.001},
        },
    )
    actions.sign(bundle)
    actions.anchor(bundle, "digits")
    return bundle


def under(home: Home, text: str) -> None:
    home.policy.write_text(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[federation]\nchain = 1", "the federation is on chain"),
        (f'[federation]\ncontract = "0x{"11" * 20}"', "contract is 0x"),
        ('[bundle]\nlevels = ["exact"]', "compiled at level reassociate, and only exact may run"),
        ('[bundle]\ntargets = ["x86-64-v3"]', "it has code for x86-64-v4, and only x86-64-v3 may run"),
        ("[bundle]\nworst_difference = 1e-4", "differ from the reference's by 0.001, at most 0.0001"),
        ('[bundle]\nmodels = ["letters"]', "not approved as only letters"),
        ("[bundle]\nmodels = []", "not approved as nothing"),
        ("[bundle]\nsigners = [2]", "signed by member 1, who is not among"),
    ],
)
def test_each_rule_refuses_what_breaks_it_and_nothing_else(approved: Path, home: Home, text: str, sentence: str):
    under(home, text)
    verdict = actions.verify(approved)
    assert [str(reason.code) for reason in verdict.reasons] == ["against-policy"]
    assert verdict.exit_code == 19
    assert sentence in verdict.sentence
    with pytest.raises(FederationRefusedError, match="against the policy"):
        ChainGate.default(home).admit(read_manifest(approved))


def test_what_keeps_every_rule_runs(approved: Path, home: Home):
    manifest = read_manifest(approved)
    assert manifest.signature is not None
    facts = actions.verify(approved).facts
    under(
        home,
        f"""
        [federation]
        chain = "{facts["chain"]}"
        contract = "{facts["contract"]}"
        [basis]
        max_age = "24h"
        max_block_age = "1h"
        [bundle]
        levels = ["exact", "reassociate"]
        targets = ["x86-64-v3", "x86-64-v4"]
        checked = true
        worst_difference = 0.01
        models = ["digits"]
        signers = ["{manifest.signature.key}"]
        """,
    )
    verdict = actions.verify(approved)
    assert verdict.approved, verdict.sentence


def test_what_was_not_checked_is_refused_where_checks_are_asked_for(bundle: Path, home: Home):
    actions.sign(bundle)
    actions.anchor(bundle)
    under(home, "[bundle]\nchecked = true")
    assert "not checked against the reference" in actions.verify(bundle).sentence
    under(home, "[bundle]\nworst_difference = 1")
    assert "does not say by how much" in actions.verify(bundle).sentence


def test_a_policy_never_admits_what_is_not_approved(bundle: Path, home: Home):
    actions.sign(bundle)
    home.folder.mkdir(exist_ok=True)
    under(home, "[bundle]\nchecked = false")
    assert actions.verify(bundle).exit_code == 14


@pytest.mark.parametrize(
    ("build", "rule", "sentence"),
    [
        ({"targets": []}, 'targets = ["x86-64-v4"]', "it has code for x86-64-v3, and only x86-64-v4 may run"),
        ({"targets": ["x86-64-v4"]}, 'targets = ["x86-64-v4"]', "it has code for x86-64-v3"),
        ({"evidence": {"worst_difference": -1}}, "worst_difference = 1", "does not say by how much"),
    ],
)
def test_a_manifest_that_says_less_than_is_so_does_not_get_by(
    bundle: Path, home: Home, build: dict[str, Any], rule: str, sentence: str
):
    write_manifest(bundle, {"source": {"sha256": "ab" * 32}, "options": {"level": "exact"}, **build})
    actions.sign(bundle)
    actions.anchor(bundle)
    under(home, f"[bundle]\n{rule}")
    verdict = actions.verify(bundle)
    assert verdict.exit_code == 19
    assert sentence in verdict.sentence


def test_a_policy_that_forbids_to_be_offline_is_obeyed(approved: Path, home: Home):
    actions.verify(approved)
    under(home, '[basis]\noffline = false\nmax_age = "24h"')
    with pytest.raises(PolicyError, match="does not allow to be offline"):
        actions.verify(approved, offline=True, max_age=1000)


def test_the_stricter_of_policy_and_caller_says_how_old_a_proof_may_be(approved: Path, home: Home):
    actions.verify(approved)
    under(home, "[basis]\nmax_age = 0")
    verdict = actions.verify(approved, offline=True, max_age=1000)
    assert verdict.approved or verdict.exit_code == 18
    under(home, '[basis]\nmax_age = "1h"')
    assert actions.verify(approved, offline=True).approved


def test_a_file_that_is_named_stands_in_for_the_homes_policy(
    approved: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    under(home, "[bundle]\nmodels = []")
    (tmp_path / "other.toml").write_text("")
    assert actions.verify(approved, policy=tmp_path / "other.toml").approved
    monkeypatch.setenv("GRAPHOPT_POLICY", str(tmp_path / "other.toml"))
    assert actions.verify(approved).approved
    monkeypatch.setenv("GRAPHOPT_POLICY", str(tmp_path / "missing.toml"))
    with pytest.raises(PolicyError, match="cannot be read"):
        actions.verify(approved)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[bundel]", "unknown section 'bundel'; did you mean 'bundle'?"),
        ("levels = 1", "unknown section 'levels'"),
        ("bundle = 1", "bundle is a section, [bundle]"),
        ("[bundle]\nlevel = 1", "unknown key in [bundle] 'level'; did you mean 'levels'?"),
        ("[bundle]\nqqq = 1", "known are levels, targets"),
        ('[bundle]\nlevels = "exact"', "not a list of names"),
        ('[bundle]\nlevels = ["exat"]', "not one of exact, reassociate, approximate"),
        ("[bundle]\nchecked = 1", "not true or false"),
        ("[bundle]\nworst_difference = nan", "not a number from 0 on"),
        ("[bundle]\nworst_difference = true", "not a number from 0 on"),
        ("[bundle]\nsigners = [0]", "not a list of members' numbers"),
        ('[bundle]\nsigners = ["AB"]', "not a list of members' numbers"),
        ('[basis]\nmax_age = "1 year"', "not a duration"),
        ("[basis]\nmax_age = -1", "not a duration"),
        (f"[basis]\nmax_age = 1{'0' * 400}", "not a duration"),
        ('[basis]\nmax_age = "\u0663s"', "not a duration"),
        (f"[bundle]\nworst_difference = 1{'0' * 400}", "not a number from 0 on"),
        ("[basis]\nrecheck = 0", "leave it out for never"),
        ("[basis]\nmax_age = inf", "not a duration"),
        ('[federation]\nchain = "0x1"', "not a chain's id"),
        ('[federation]\ncontract = "0x11"', "not a contract's address"),
        ("[bundle", "is not TOML"),
        ("[bundle]\nchecked = true\nchecked = false", "is not TOML"),
    ],
)
def test_what_a_policy_says_and_nobody_knows_is_refused(tmp_path: Path, text: str, sentence: str):
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(PolicyError, match=re.escape(sentence)):
        Policy.load(tmp_path / "policy.toml")


@given(st.binary(max_size=200))
def test_a_file_that_is_no_policy_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_bytes(content)
    try:
        Policy.load(path)
    except PolicyError as error:
        assert "\n" not in str(error)  # noqa: PT017 - what is none has one sentence, the rest is a policy


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90), ("30m", 1800), ("24h", 86400), ("7d", 604800), ("1.5h", 5400), (5, 5), ("5", 5)]
)
def test_durations_have_units(text: object, length: float):
    assert seconds(text) == length


def test_the_policy_in_the_documentation_is_one(tmp_path: Path):
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENTED.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "policy.toml").write_text(example)
    policy = Policy.load(tmp_path / "policy.toml")
    assert policy.rebuild
    assert policy.recheck == 10
    # it shows every key that there is
    from graphopt_governance.verdict.policy import KEYS

    assert {key for keys in KEYS.values() for key in keys} == set(re.findall(r"^(\w+) =", example, re.MULTILINE))


def test_an_unreachable_chain_is_judged_from_what_is_kept_where_policy_or_caller_say_so(
    approved: Path, home: Home, monkeypatch: pytest.MonkeyPatch
):
    actions.verify(approved)

    def unreachable(*_: object) -> None:
        raise UnreachableError("the node at far.away does not answer")

    monkeypatch.setattr(actions, "open_chain", unreachable)
    with pytest.raises(UnreachableError):
        actions.verify(approved)
    verdict = actions.verify(approved, max_age=60)
    assert verdict.approved
    assert "the chain was unreachable: the node at far.away does not answer" in verdict.facts["basis"]
    under(home, '[basis]\nmax_age = "1h"')
    assert actions.verify(approved).approved
    under(home, '[basis]\nmax_age = "1h"\noffline = false')
    with pytest.raises(UnreachableError):
        actions.verify(approved)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("2.3e-07", None),
        ("0.0", None),
        ("0.001", None),
        ("0.0011", "differ from the reference's by 0.0011, at most 0.001"),
        ("1e-07", None),
        (None, "does not say by how much its outputs differ from the reference's"),
        *((text, "is no such number") for text in ("nan", "inf", "-inf", "-0.1", "1_0", " 1", "0x1", "", "1e999")),
        ("1" * 400, "is no such number"),
        *((value, "is no such number") for value in ([], {}, True)),
    ],
)  # fmt: skip
def test_a_difference_is_read_as_the_compiler_writes_it(told: object, sentence: str | None):
    from graphopt_governance.verdict.against_policy import _against_evidence  # pyright: ignore[reportPrivateUsage]

    reasons = _against_evidence(Policy(worst_difference=0.001), {"checked": True, "worst_difference": told})
    assert [reason.sentence for reason in reasons] == [] if sentence is None else sentence in reasons[0].sentence
