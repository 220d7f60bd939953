# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plots show."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sample_example import make

from lmp_uq.report.plots import calibration as plots_calibration
from lmp_uq.report.plots import parity as plots


def test_parity_shows_the_labels_and_their_bounds():
    _, samples = make()
    energies, forces = samples["energy_per_atom"], samples["forces"]
    parity, forces_panel, strip = plots.draw_parity(samples).axes
    for panel, mine in ((parity, energies), (forces_panel, forces)):
        lines = [line for line in panel.lines if line.get_marker() in plots.MARKERS]
        points = np.concatenate([line.get_xydata() for line in lines])
        expected = np.stack([mine.reference, mine.predicted], axis=1)
        np.testing.assert_array_equal(np.sort(points, axis=0), np.sort(expected, axis=0))
    segments = np.concatenate([np.array(c.get_segments()) for c in strip.collections])
    drawn = segments[np.argsort(segments[:, 0, 0]), :, 1]
    bounds = np.stack([energies.lower, energies.upper], axis=1)[np.argsort(energies.reference)]
    np.testing.assert_allclose(drawn, 1000.0 * bounds)


def test_the_title_says_the_share_of_atoms_under_the_line():
    _, samples = make()
    samples["force_error"].force_error[:30] = np.inf
    panels = plots.draw_error_uncertainty(samples).axes
    atoms = samples["force_error"]
    coverage = 100.0 * np.mean(atoms.error[30:] <= atoms.force_error[30:])
    assert panels[2].get_title() == f"Atoms: {coverage:.1f} % of 90 under the line"
    assert len(panels) == 3 and "std" in panels[0].get_xlabel() and "eV/atom" in panels[0].get_ylabel()


@pytest.mark.parametrize(("n_groups", "n_entries"), [(2, 2), (9, 9), (10, 10), (40, 10)])
def test_the_legend_has_at_most_ten_entries_and_every_label_one_of_them(n_groups, n_entries):
    names = [f"group {k}" for k in range(n_groups)]
    groups = np.array(names * 2, dtype=object)
    styles = plots.group_styles(names, groups)
    assert len(styles) == n_entries and len({style.colour for style in styles}) == n_entries
    np.testing.assert_array_equal(np.sum([style.mask for style in styles], axis=0), 1)


def test_binned_medians_of_a_line_lie_on_it():
    width = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    centres, medians = plots.binned_medians(width, 2.0 * width)
    np.testing.assert_allclose(medians, 2.0 * centres)
    assert len(centres) == 10 and np.all(np.diff(centres) > 0)
    assert len(plots.binned_medians(width[:3], width[:3])[0]) == 1


def test_figures_belong_to_no_window_manager():
    _, samples = make()
    for figure in (plots.draw_parity(samples), plots_calibration.draw_calibration(samples)):
        # pyplot would have given them one, and kept them
        assert figure.canvas.manager is None and isinstance(figure.canvas, FigureCanvasAgg)
