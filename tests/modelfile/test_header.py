# SPDX-License-Identifier: GPL-2.0-or-later
"""The header as records: nothing is lost on the way from the file and back, and the fields are the entries of the specification."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from lmp_uq import _native, modelfile
from lmp_uq.modelfile import header as records
from lmp_uq.modelfile.header import ABSENT, CalibrationEntry, Header
from lmp_uq.quantities import QUANTITIES

RECORDS = {
    "": Header,
    "backbone": records.BackboneEntry,
    "posterior": records.PosteriorEntry,
    "calibration": CalibrationEntry,
    "calibration.force_error": records.ForceErrorEntry,
    "calibration.energy_error": records.EnergyErrorEntry,
    "calibration.stress_error": records.ScaledErrorEntry,
    "calibration.quantile_network": records.QuantileNetworkEntry,
    "posterior.p_readout": records.PReadoutEntry,
    "calibration.probe": records.ProbeEntry,
    "calibration.ordinal": records.OrdinalEntry,
    "provenance": records.ProvenanceEntry,
}
"""Of the blocks of the specification; what the architecture says is the business of its family."""


def test_fields_are_the_entries_of_the_specification():
    found: dict[str, set] = {}
    for block in json.loads(_native.specification())["blocks"]:
        if block["key"] != "backbone.architecture":
            found.setdefault(block["key"], set()).update(entry["key"] for entry in block["entries"] if "." not in entry["key"])
    assert found.keys() == RECORDS.keys()
    for key, record in RECORDS.items():
        assert {field.name for field in fields(record)} - {"more"} == found[key], key


@pytest.mark.parametrize("name", modelfile.embedded_models())
def test_an_embedded_header_comes_back(name):
    path = modelfile.resolve(name)
    text = _native.read_model(path)[0]
    header = modelfile.read(path).header
    assert header.to_dict() == json.loads(text) and json.dumps(header.to_dict()) == json.dumps(json.loads(text))
    assert not header.more and not header.posterior.more and not header.calibration.more


def test_absent_null_and_unknown_entries_come_back(header):
    header["posterior"] |= {"n_force_rows": None, "seed": 0, "colour": {"a": [1]}}
    header["calibration"] |= {"quantile_network": None, "shape": 3}
    header["provenance"]["data"][0]["kind"] = "xyz"
    made = Header.from_dict(header)
    assert made.to_dict() == header
    assert made.posterior.n_force_rows is None and made.posterior.n_force_members is ABSENT and not ABSENT
    assert made.posterior.more == {"colour": {"a": [1]}}
    less = replace(made, posterior=replace(made.posterior, seed=ABSENT)).to_dict()
    assert less["posterior"].keys() == header["posterior"].keys() - {"seed"}


def test_absence_is_one_object_everywhere(header):
    made = Header.from_dict(header)
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made and again.posterior.axes is ABSENT and again.to_dict() == header


def test_records_do_not_change(header):
    made = Header.from_dict(header)
    with pytest.raises(FrozenInstanceError):
        made.cutoff = 3.0
    with pytest.raises(FrozenInstanceError):
        made.posterior.bias = "none"


def test_bars_by_the_names_of_the_quantities(header):
    scaled = {"factor": 1.0, "conservative_factor": 2.0, "level": 0.9, "n_groups": 1, "n_blocks": 9}
    header["calibration"] |= {"energy_error": scaled, "stress_error": None}
    bars = Header.from_dict(header).bars()
    assert bars == {"energy_error": scaled, "force_error": header["calibration"]["force_error"]}
    assert bars.keys() <= {quantity.bar for quantity in QUANTITIES}
    assert Header.from_dict(header | {"calibration": None}).bars() == {}
