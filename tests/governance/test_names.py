"""Names are a convenience: shown where they are known, believed nowhere."""

from __future__ import annotations

from pathlib import Path

from graphopt.bundle import read_manifest
from graphopt_governance import actions
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.decide.chronicle import chronicle
from graphopt_governance.exchange.names import Names, remember_model
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import model_id


def test_a_model_is_told_by_the_name_under_which_this_home_anchored_it(home: Home, bundle: Path):
    actions.sign(bundle)
    actions.anchor(bundle, "digits")
    assert actions.verify(bundle).facts["model_name"] == "digits"
    chain = open_chain(home)
    assert chain is not None
    assert "version 1 of model digits" in chronicle(chain.events("Anchored"), Names.of(home))[0][1]
    # in another home the chain has the hash alone
    digest = read_manifest(bundle).digest
    stranger = chronicle(chain.events("Anchored", digest), Names())[0][1]
    assert f"of model {model_id('digits').hex()}" in stranger


def test_a_name_is_shown_for_the_model_that_it_hashes_to_and_no_other(home: Home):
    remember_model(home, "digits")
    remember_model(home, "letters")
    names = Names.of(home)
    assert names.model_label(model_id("letters")) == "letters"
    assert names.model_label(model_id("numbers")) == model_id("numbers").hex()


def test_a_file_of_names_that_is_none_hides_nothing_but_names(home: Home, bundle: Path):
    actions.sign(bundle)
    actions.anchor(bundle, "digits")
    home.names.write_bytes(b"[")
    verdict = actions.verify(bundle)
    assert verdict.approved
    assert "model_name" not in verdict.facts
