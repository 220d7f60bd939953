# SPDX-License-Identifier: GPL-2.0-or-later
"""Force bars in Python: what sampled members converge to, what members must obey whatever they are, and what the file says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from force_members import Members, changed
from lammps_cases import crystal
from model_example import HEADER

from lmp_uq import modelfile
from lmp_uq.calibration import ForceVariables
from lmp_uq.errors import UqError
from lmp_uq.posterior.box import Box
from lmp_uq.run.arguments import FORCE_MEMBERS
from lmp_uq.run.engine import Engine

N_DRAWS = 400


@pytest.fixture(scope="module")
def members(models):
    return Members(models.full, crystal(tilt=True))


@pytest.fixture(scope="module")
def force_rows(members):
    """(n, 3, P') features of every force component, and (6, P') of the virial, by one pull per feature; bias columns are zero."""
    n_columns, n_descriptors = len(members.box.coefficients), members.evaluation.descriptors.shape[1]
    forces, virials = members.apply(np.eye(n_columns)[:n_descriptors])
    rows, strain_rows = np.zeros((*forces.shape[1:], n_columns)), np.zeros((9, n_columns))
    rows[..., :n_descriptors] = np.moveaxis(forces, 0, -1)
    strain_rows[:, :n_descriptors] = virials.reshape(n_descriptors, 9).T
    return rows, strain_rows


def convergence(box, rows, members_of, n=N_DRAWS, seed=5):
    """Deviation of the sampled second moments from those of the box, in standard errors, of every row."""
    squares = members_of(box.sample(n, seed)) ** 2
    error = squares.std(axis=0) / np.sqrt(n)
    return np.abs(squares.mean(axis=0) - box.rms(rows) ** 2) / error


def test_members_converge_to_the_box(members, force_rows):
    """Sampled members' own forces and virials against the closed form on the exact Jacobian; 33 rows, so 4 standard errors are rare."""
    rows, strain_rows = force_rows
    flat = np.concatenate([rows.reshape(-1, rows.shape[-1]), strain_rows])

    def own(thetas):
        forces, virials = members.apply(thetas)
        return np.concatenate([forces.reshape(len(thetas), -1), virials.reshape(len(thetas), -1)], axis=1)

    assert convergence(members.box, flat, own).max() < 4.0
    # planted errors that the comparison must see, on the rows alone: bars about the middle of the box, a lost mode, members twice as far
    box = members.box
    centred = Box(np.zeros_like(box.coefficients), box.modes, -box.half, box.half)
    widest = np.argmax(np.linalg.norm(box.modes * box.half, axis=0))
    lost = Box(box.coefficients, np.delete(box.modes, widest, 1), np.delete(box.lower, widest), np.delete(box.upper, widest))
    for wrong in (centred, lost, Box(2 * box.coefficients, 2 * box.modes, box.lower, box.upper)):
        assert convergence(box, flat, lambda thetas, wrong=wrong: wrong.sample(len(thetas), 5) @ flat.T).max() > 4.0


def test_the_jacobian_gives_the_covariance_of_members(members, force_rows):
    """One pull per feature and `push` agree; a member's force is its Theta on the rows; the trace is that of Box.covariance."""
    rows, _ = force_rows
    assert np.abs(members.forces - np.einsum("iap,kp->kia", rows, members.thetas)).max() < 1e-12 * np.abs(members.forces).max() * 100
    graph, n = members.graph, len(rows)
    tangents = np.zeros((3 * n, len(graph.centres), 3))
    for k, (atom, axis) in enumerate(np.ndindex(n, 3)):
        tangents[k, :, axis] = (graph.neighbours == atom) * 1.0 - (graph.centres == atom)
    pushed = -members.backbone.push(members.evaluation.state, tangents, np.zeros(n, np.int64), 1)[:, 0]
    assert np.abs(pushed - rows.reshape(3 * n, -1)[:, : pushed.shape[1]]).max() < 1e-10 * np.abs(pushed).max()
    box = members.box
    trace = np.trace(box.covariance(rows[:, :, None], rows[:, None, :]), axis1=1, axis2=2) + np.sum(box.mean(rows) ** 2, axis=1)
    assert np.allclose(trace, np.sum(box.rms(rows) ** 2, axis=1), rtol=1e-12)


def test_few_members_scatter_as_the_page_says(members, force_rows):
    """Relative noise of force_std of one atom is near 0.43/sqrt(K') (docs/uncertainty.md), and the mean square is unbiased."""
    rows, _ = force_rows
    forces = np.einsum("iap,kp->kia", rows, members.box.sample(800 * FORCE_MEMBERS, 3))
    squares = np.sum(forces.reshape(800, FORCE_MEMBERS, *forces.shape[1:]) ** 2, axis=3).mean(axis=1)
    exact = np.sum(members.box.rms(rows) ** 2, axis=1)
    noise = np.sqrt(squares).std(axis=0) / np.sqrt(exact) * np.sqrt(FORCE_MEMBERS)
    assert np.all((noise > 0.3) & (noise < 0.6)), noise
    assert np.abs(squares.mean(axis=0) / exact - 1.0).max() < 0.1


def test_every_member_obeys_newton(members):
    """No net force, no net torque: a member is an energy that does not know where the crystal is and how it is turned."""
    size = np.abs(members.forces).max()
    assert size > 1e-3
    assert np.abs(members.forces.sum(axis=1)).max() < 1e-11 * size
    skew = members.virials - np.swapaxes(members.virials, 1, 2)
    assert np.abs(skew).max() < 1e-11 * np.abs(members.virials).max()


# ---- the draws ------------------------------------------------------------------------------------------------------------------


def test_samples_are_independent_draws_of_the_box():
    rng = np.random.default_rng(0)
    box = Box(rng.normal(size=4), np.linalg.qr(rng.normal(size=(4, 3)))[0], np.array([-1.0, 0.0, 2.0]), np.array([1.0, 0.5, 2.0]))
    drawn = box.sample(4000, 7)
    assert drawn.shape == (4000, 4) and np.array_equal(box.sample(10, 7), drawn[:10]) and not np.array_equal(box.sample(10, 8), drawn[:10])
    u = (drawn - box.coefficients) @ box.modes
    assert np.all(u >= box.lower - 1e-12) and np.all(u <= box.upper + 1e-12)
    assert np.abs(u.mean(axis=0) - box.mid).max() < 4 * 1.0 / np.sqrt(3 * 4000)
    assert np.allclose(u.std(axis=0), box.half / np.sqrt(3), rtol=0.05)
    assert np.abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 4 / np.sqrt(4000), "neighbours in the sequence must not know of each other"
    assert np.array_equal(Box(np.ones(2), np.zeros((2, 0)), np.zeros(0), np.zeros(0)).sample(3, 0), np.ones((3, 2)))
    for n in (0, 1.5, True):
        with pytest.raises(UqError, match=r"Box\.sample: n: found"):
            box.sample(n, 0)


def test_a_fit_stores_draws_of_its_box(models):
    file = modelfile.read(models.full)
    box, drawn = Box.from_tensors(file.section("posterior")), file.tensors["posterior/force_members"]
    assert file.header.posterior.n_force_members == len(drawn) == 32
    u = np.linalg.lstsq(box.modes, (drawn - box.coefficients).T, rcond=None)[0].T
    slack = 1e-6 * (box.upper - box.lower)
    assert np.all(u >= box.lower - slack) and np.all(u <= box.upper + slack)
    assert not np.isin(drawn[:, 0], file.tensors["posterior/members"][:, 0]).any()


# ---- the file -------------------------------------------------------------------------------------------------------------------

ROWS = np.ones((3, 5))
BAD = {
    "count": (3, ROWS[:2], r"'posterior/force_members' has shape \(2, 5\).*accepted: \(3, 5\)"),
    "columns": (3, ROWS[:, :4], r"'posterior/force_members' has shape \(3, 4\).*accepted: \(3, 5\)"),
    "single precision": (3, ROWS.astype(np.float32), r"float32; accepted: .*float64"),
    "missing": (3, None, r"'posterior/force_members' is missing"),
    "not announced": (None, ROWS, r"'posterior/force_members' has shape \(3, 5\); accepted: none"),
    "announced as none": (0, ROWS, r"'posterior/force_members' has shape \(3, 5\); accepted: none"),
    "nan": (3, ROWS * np.nan, r"'posterior/force_members' has 15 NaN"),
    "negative": (-1, None, r"'posterior.n_force_members' is -1; accepted: a whole number"),
    "fraction": (3.0, ROWS, r"'posterior.n_force_members' is 3.0"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_with_wrong_force_members_are_refused(name, tmp_path, header, tensors):
    count, rows, message = BAD[name]
    if count is not None:
        header["posterior"]["n_force_members"] = count
    if rows is not None:
        tensors["posterior/force_members"] = rows
    with pytest.raises(UqError, match=message):
        modelfile.write(tmp_path / "a.uq", header, tensors)


def test_files_without_force_members_are_read_as_before(tmp_path, header, tensors):
    assert "n_force_members" not in HEADER["posterior"]
    modelfile.write(tmp_path / "old.uq", header, tensors)
    assert "posterior/force_members" not in modelfile.read(tmp_path / "old.uq").tensors
    header["posterior"]["n_force_members"], tensors["posterior/force_members"] = 3, ROWS
    modelfile.write(tmp_path / "new.uq", header, tensors)
    assert np.array_equal(modelfile.read(tmp_path / "new.uq").tensors["posterior/force_members"], ROWS)


# ---- the engine -----------------------------------------------------------------------------------------------------------------


def test_the_engine_offers_what_the_file_holds(models, tmp_path):
    full = Engine.load(models.full, ["Si", "O"], device="cpu")
    assert (full.n_members, full.n_force_members) == (64, FORCE_MEMBERS) and "8 force members" in full.summary
    assert full.offers("force_std") and full.offers("stress_std") and full.offers("members")
    assert full.offers("energy_error") and full.offers("stress_error")
    raw = Engine.load(changed(models.full, tmp_path / "raw.uq", calibration={"energy_error": None, "stress_error": None}), ["Si"])
    assert not raw.offers("energy_error") and not raw.offers("stress_error") and raw.offers("stress_std")
    few = changed(models.full, tmp_path / "few.uq", force_members=modelfile.read(models.full).tensors["posterior/force_members"][:3])
    assert Engine.load(few, ["Si"], device="cpu").n_force_members == 3
    none = Engine.load(changed(models.full, tmp_path / "none.uq", force_members=None), ["Si"], device="cpu")
    assert not none.offers("force_std_x") and not none.offers("stress_std") and none.offers("energy_std")
    bare = Engine.load(models.bare, ["Si"], device="cpu")
    assert not any(bare.offers(name) for name in ("force_std", "stress_std", "members", "energy_error", "stress_error"))


def test_levels_of_force_error_are_those_of_its_calibration(models, monkeypatch):
    engine = Engine.load(models.full, ["Si", "O"], device="cpu")
    assert engine.offers("force_error_50") and engine.offers("force_error_95")

    engine._force_error = bar = replace(engine._force_error, levels=(0.5, 0.9), correction_slope=0.0)
    assert engine.offers("force_error_50") and not engine.offers("force_error_95")
    norm, grade, near = np.array([0.1, 2.0]), np.array([0.3, 0.8]), np.array([0.5, 0.4])
    monkeypatch.setattr(engine, "_grades", lambda: grade)
    for field, level in (("force_error_50", 0.5), ("force_error", 0.9)):
        expected = bar.predict(ForceVariables.of(norm, grade, near), level=level)
        assert engine.per_atom(field, norm, near).tolist() == expected.tolist()
    above = engine.per_atom("error_above", norm, near, threshold=0.3)
    assert above.tolist() == bar.probability(ForceVariables.of(norm, grade, near), 0.3).tolist()


def test_derivatives_are_kept_only_on_request(models, members):
    engine = Engine.load(models.full, ["O", "Si"], device="cpu", precision="float64", engine="torch")
    graph = members.graph
    energies, gradients = np.zeros(graph.n_local), np.zeros((len(graph.centres), 3))
    engine.evaluate(graph, energies, gradients)
    assert engine._state is None
    engine.evaluate(graph, energies, gradients, keep=True)
    out = np.zeros((2, *gradients.shape))
    engine.member_gradients(3, out)
    n_descriptors = members.evaluation.descriptors.shape[1]
    weights = np.repeat(members.thetas[3:5, None, :n_descriptors], graph.n_local, axis=1)
    assert np.abs(out - members.backbone.pull(members.evaluation.state, None, weights)).max() < 1e-13
    engine.evaluate(graph, energies, gradients)
    assert engine._state is None and engine.exchange is None


def test_the_learned_quantile_must_be_in_the_file(models):
    with pytest.raises(UqError, match=r"full.uq holds no learned quantile"):
        Engine.load(models.full, ["Si"], device="cpu", learned=True)
