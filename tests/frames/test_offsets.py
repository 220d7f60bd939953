# SPDX-License-Identifier: GPL-2.0-or-later
"""Energy zeros of labels and model: offsets by element, and which of them the compositions determine."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from ase.data import chemical_symbols
from frame_example import frame_of

from lmp_uq.errors import UqError
from lmp_uq.frames.energy_zero import check_energy_zero, element_offsets, energy_offsets, undetermined_elements


@pytest.mark.parametrize("planted", [1.0, -1.0, 2.0])
def test_offsets_are_recovered(planted):
    frames = [frame_of("W2Ta"), frame_of("WTa3"), frame_of("W"), frame_of("Ta4")]
    residuals = planted * np.array([2 * 0.5 - 3.0, 0.5 - 9.0, 0.5, -12.0])
    found = element_offsets(frames, residuals, ["Ta", "W"])
    assert list(found) == ["Ta", "W"] and not undetermined_elements(frames, residuals, ["Ta", "W"])
    right = np.allclose(list(found.values()), [-3.0, 0.5], rtol=1e-12)
    assert right is (planted == 1.0)


def test_offsets_that_compositions_do_not_determine_are_small_and_named(caplog):
    """Of one molecule only the sum is known; beside it an element that is known, and one that does not occur."""
    caplog.set_level("INFO", "lmp_uq")
    frames, elements = [frame_of("H2O"), frame_of("H4O2"), frame_of("W3")], ["H", "Be", "O", "W"]
    residuals = np.array([5.0, 10.0, 3.0])
    found = energy_offsets(frames, residuals, True, elements)
    assert list(found) == ["H", "O", "W"]
    np.testing.assert_allclose(list(found.values()), [2.0, 1.0, 1.0], atol=1e-12)  # along (2, 1), the shortest of those that fit
    assert undetermined_elements(frames, residuals, elements) == ["H", "O"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "H +2.0000, O +1.0000, W +1.0000 eV/atom (the compositions do not determine H, O: " in record.getMessage()
    with pytest.raises(UqError, match=r"W \+1\.0000 eV/atom \(the compositions do not determine H, O: .*accepted: at most"):
        energy_offsets(frames, residuals, False, elements)
    caplog.clear()
    more = [*frames, frame_of("HO")]
    assert list(energy_offsets(more, np.append(residuals, 3.0), True, elements).values()) == pytest.approx([2.0, 1.0, 1.0])
    assert "determine" not in caplog.text and caplog.records[0].levelname == "INFO"


def test_an_element_of_frames_without_energy_is_not_listed():
    frames = [frame_of("W"), frame_of("WTa")]
    assert element_offsets(frames, np.array([1.0, np.nan]), ["W", "Ta"]) == {"W": pytest.approx(1.0)}


def test_frames_without_energy_do_not_count():
    frames = [frame_of("W"), frame_of("W2")]
    assert element_offsets(frames, np.array([np.nan, 3.0]), ["W"])["W"] == pytest.approx(1.5)
    with pytest.raises(UqError, match="none of 2 frames has an energy"):
        element_offsets(frames, np.full(2, np.nan), ["W"])
    with pytest.raises(UqError, match=r"shape \(3,\); accepted: \(2,\)"):
        element_offsets(frames, np.zeros(3), ["W"])


def test_energy_zero():
    frames = [frame_of("W"), frame_of("W2Ta")]
    assert check_energy_zero(frames, np.array([0.1, 0.1]), ["W", "Ta"])["W"] == pytest.approx(0.1)
    with pytest.raises(UqError, match=r"W \+0\.1000, Ta -4\.1000 eV/atom; .*at most 0\.2 .*fit_offsets=True"):
        check_energy_zero(frames, np.array([0.1, -3.9]), ["W", "Ta"])
    with pytest.raises(UqError, match=r"at most 0\.05 "):
        check_energy_zero(frames, np.array([0.1, 0.1]), ["W", "Ta"], limit=0.05)


def test_many_frames_of_many_elements_take_little():
    frames, elements = [frame_of("H128O64"), frame_of("H64O32")] * 2500, list(chemical_symbols[1:90])
    tracemalloc.start()
    began = time.process_time()
    found = undetermined_elements(frames, np.zeros(len(frames)), elements)
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == ["H", "O"] and peak < 50e6 and seconds < 3.0
