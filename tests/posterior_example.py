# SPDX-License-Identifier: GPL-2.0-or-later
"""A model file of random numbers with all that the posterior heads read, and the two heads on the same atoms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from model_example import make_header, some_force_error

from lmp_uq import _native, modelfile
from lmp_uq.backbone.graph import Graph
from lmp_uq.backbone.protocol import Evaluation
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError
from lmp_uq.run.engine import Engine

P, ELEMENTS = 19, ["W", "Ta", "Mo"]
LEVELS = (0.5, 0.9, 0.95)
FIELDS = {"force_error": 0.9, "force_error_50": 0.5, "force_error_95": 0.95}
THRESHOLDS = (0.0, 1e-6, 0.03, 0.3, 3.0, 1e300)


def write_model(path, *, bias="element", n_modes=13, n_members=40, n_descriptors=P, change=None):
    """A model file with everything that the head reads, of random numbers; change(header, tensors) before it is written."""
    rng, n_elements = np.random.default_rng(5), len(ELEMENTS)
    columns = n_descriptors + {"none": 0, "constant": 1, "element": n_elements}[bias]
    header = make_header() | {"elements": ELEMENTS}
    header["backbone"] |= {"n_features": n_descriptors}
    header["posterior"] |= {"n_features": n_descriptors, "n_modes": n_modes, "n_members": n_members, "n_force_members": 11, "bias": bias}
    force_error = {"intercept": -1.5, "force_exponent": 0.4, "grade_exponent": 1.25, "n_groups": 2, "n_blocks": 20}
    force_error |= {"levels": LEVELS, "factors": (0.6, 1.1, 1.6), "conservative_factors": (0.8, 1.9, 2.0), "floors": (0.01, 0.02, 0.02)}
    force_error |= {"floor_exponent": 0.7, "least_bar": 0.015}
    scaled = {"factor": 1.7, "conservative_factor": 2.5, "level": 0.9, "n_groups": 2, "n_blocks": 20}
    network = {"levels": LEVELS, "n_features": n_descriptors, "hidden": [9, 5]}
    header["calibration"] = {"force_error": force_error, "energy_error": scaled, "quantile_network": network}
    upper = rng.uniform(0.1, 2.0, n_modes)
    upper[2::5] = -0.25  # modes without an extent
    inputs = n_descriptors + 1
    sizes = {"input_mean": inputs, "weight_0": (9, inputs), "bias_0": 9, "weight_1": (5, 9), "bias_1": 5, "weight_2": (3, 5), "bias_2": 3}
    tensors = {f"calibration/quantile_network/{name}": rng.normal(size=size) for name, size in sizes.items()}
    tensors |= {
        "calibration/quantile_network/input_scale": rng.uniform(0.5, 2.0, inputs),
        "calibration/quantile_network/lower": np.array([-1.0, -0.8, -0.5]),
        "calibration/quantile_network/upper": np.array([0.5, 1.0, 2.0]),
        "calibration/quantile_network/factors": np.array([1.3, 1.0, 1.2]),
        "backbone/weight": rng.normal(size=12),
        "posterior/coefficients": 0.1 * rng.normal(size=columns),
        "posterior/modes": rng.normal(size=(columns, n_modes)),
        "posterior/lower": np.where(upper < 0, upper, -rng.uniform(0.1, 2.0, n_modes)),
        "posterior/upper": upper,
        "posterior/members": rng.normal(size=(n_members, columns)),
        "posterior/force_members": rng.normal(size=(11, columns)),
        "grade/mean": rng.normal(size=(n_elements, n_descriptors)),
        "grade/whitening": rng.normal(size=(n_elements, n_descriptors, n_descriptors)),
        "grade/radius": np.array([10.0, np.nan, 25.0]),
        "roles/fit": np.arange(3, dtype=np.uint64),
        "roles/calibration": np.arange(1, dtype=np.uint64),
    }
    if change:
        change(header, tensors)
    modelfile.write(path, header, tensors)
    return path


def today(correction_slope=0.0):
    """Change a file to today's force_error and learned quantile."""

    def change(header, tensors):
        header["calibration"]["force_error"] = some_force_error(correction_slope).to_dict()
        header["calibration"]["quantile_network"]["n_variables"] = 3
        rng, start = np.random.default_rng(6), "calibration/quantile_network/"
        shapes = {"input_mean": P + 3, "weight_0": (9, P + 3)}
        tensors |= {start + name: rng.normal(size=shape) for name, shape in shapes.items()}
        tensors[start + "input_scale"] = rng.uniform(0.5, 2.0, P + 3)

    return change


class Descriptors:
    """Stands for a backbone: the descriptors and energies of its atoms are what they are."""

    elements, cutoff, precision, device = tuple(ELEMENTS), 4.5, "float64", "cpu"

    def __init__(self, descriptors, energies):
        self.evaluation = Evaluation(energies, descriptors)

    def evaluate(self, graph, gradients=True):
        return self.evaluation

    def pull(self, state, weights):
        return np.zeros((0, 3))


class Scattered:
    """An engine that sees the atoms that take part, and its fields for all atoms, 0 for the others: as the pair style has them."""

    def __init__(self, engine, inside):
        self._engine, self._inside = engine, inside

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def per_atom(self, field, threshold=None, **given):
        out = np.zeros(len(self._inside))
        out[self._inside] = self._engine.per_atom(field, threshold=threshold, **{name: v[self._inside] for name, v in given.items()})
        return out


def both(path, n=131, elements=(0, 1, 2), scale=1.0, **options):
    """The two heads on the same n atoms, with all that is asked of them."""
    rng = np.random.default_rng(n)
    species = rng.integers(-1, len(elements), n)
    inside = species >= 0
    descriptors, energies, force_norm = scale * rng.normal(size=(n, P)), rng.normal(size=n), rng.exponential(size=n)
    engine = Engine(modelfile.read(path), Descriptors(descriptors[inside], energies[inside]), elements, **options)
    graph = Graph(species[inside], int(inside.sum()), *(np.zeros(0, np.int64),) * 2, np.zeros((0, 3)), None)
    engine.evaluate(graph, np.empty(graph.n_local), np.empty((0, 3)))
    native = _native.NativePosterior(path, elements, **options)
    neighbours, correction = rng.exponential(size=n), rng.exponential(size=n)
    neighbours[3::7] = np.inf
    case = SimpleNamespace(engine=Scattered(engine, inside), native=native, species=species, descriptors=descriptors, energies=energies)
    return with_variables(case, force_norm, neighbours, correction)


def with_variables(case, force_norm, neighbours, correction):
    """The case with what force errors are made of beside the grade: as the engine takes it, and as the native head does."""
    case.given = {"force_norm": force_norm, "neighbours": neighbours, "correction": correction}
    grade = np.where(case.species >= 0, case.engine.per_atom("grade"), 0.0)
    case.variables = ForceVariables.of(force_norm, grade, neighbours, correction)
    return case


def close(found, expected, taking_part=None):
    """Assert agreement to 1e-10, relative to the larger of 1 and the number; atoms that take no part have 0."""
    expected = np.asarray(expected) if taking_part is None else np.where(taking_part, expected, 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def check_fields(case):
    inside = case.species >= 0
    bars = case.native.energy_bars(case.descriptors, case.species, case.energies)
    for row, field in enumerate(("energy_std", "energy_lower", "energy_upper")):
        close(bars[row], case.engine.per_atom(field), inside)
    grade = case.native.grades(case.descriptors, case.species)
    close(grade, case.engine.per_atom("grade"), inside)
    for field, level in FIELDS.items():
        bar = case.native.force_errors(case.descriptors, case.species, case.variables, level)
        close(bar, case.engine.per_atom(field, **case.given), inside)
    assert case.native.has_quantiles == case.engine.offers("error_above")
    for threshold in THRESHOLDS if case.native.has_quantiles else ():
        probability = case.native.errors_above(case.species, case.variables, threshold)
        close(probability, case.engine.per_atom("error_above", threshold=threshold, **case.given), inside)
    total = case.engine.feature_sum()
    close(case.native.feature_sum(case.descriptors, case.species), total)
    close(case.native.totals(total, -7.5), case.engine.totals(total, -7.5))
    close(case.native.member_energies(total, -7.5), case.engine.member_energies(total, -7.5))


def refusal(make):
    with pytest.raises(UqError) as caught:
        make()
    return str(caught.value)
