# SPDX-License-Identifier: GPL-2.0-or-later
"""Radial functions of the second layer as sums of q common ones: what error the forces get, q by q.

R_kc(r) of all pairs of elements are the last hidden activations of the radial network (64 as a rule) times its last matrix W. The best q
common functions in the least-squares sense come of a singular value decomposition over distances, pairs and columns (path, channel): with
V (q, columns) its right singular vectors, R is replaced by R V^T V, that is W by W V^T V, and the model is run in float64. Printed are the
norm of what is left out over that of the functions, and the largest and the root mean square difference of the forces on a crystal of
shaken atoms. (With derivatives in the rows too, the errors are the same within a factor of 4.)

    OMP_NUM_THREADS=1 python benchmarks/rank_basis.py [--models medium nbmotaw FILE.uq FILE.model] [--ranks 8 16 ...] [--all-pairs]
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import torch
from native_engine import described, frame

from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.mace.architecture import build_model, unpack_tensors
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone

SHORTEST, N_DISTANCES = 0.5, 240  # Angstrom


def model_of(name: str):
    """Architecture and tensors, also of a file of mace-torch."""
    if not name.endswith(".model"):
        return described(name)
    return describe_mace(torch.load(name, map_location="cpu", weights_only=False).double())


def crystal(backbone):
    """Shaken atoms of elements that the model has."""
    from ase.build import bulk

    if "Te" not in backbone.elements or "Ta" in backbone.elements:
        return frame("Alloy54")
    atoms = bulk("GeTe", "rocksalt", a=6.02, cubic=True) * (2, 2, 2)
    metals = np.flatnonzero(atoms.symbols == "Ge")
    atoms.symbols[metals] = np.random.default_rng(0).choice(["Ge", "Sb"], len(metals))
    atoms.rattle(0.1, seed=1)
    return atoms


def hidden(model, pairs, distances):
    """Last hidden activations (len(pairs) * len(distances), n) of the second layer's radial network."""
    n = len(distances)
    lengths = torch.tensor(np.tile(distances, len(pairs)))[:, None]
    attributes = torch.eye(len(model.atomic_numbers), dtype=torch.float64)
    index = torch.tensor(np.repeat(np.array(pairs).T, n, axis=1))
    radial, _ = model.radial_embedding(lengths, attributes, index, model.atomic_numbers)
    layers = list(model.interactions[1].conv_tp_weights)
    for layer in layers[:-1]:
        radial = layer(radial)
    return radial.detach().numpy()


def triangle(model, pairs):
    """Upper triangle L of the QR decomposition of the activations: L^T L = S^T S."""
    distances = np.linspace(SHORTEST, float(model.r_max), N_DISTANCES, endpoint=False)
    out = None
    for first in range(0, len(pairs), 200):
        rows = hidden(model, pairs[first : first + 200], distances)
        out = np.linalg.qr(rows if out is None else np.concatenate([out, rows]), mode="r")
    return out


def forces_of(backbone, graph):
    gradients = backbone.pull(backbone.evaluate(graph).state, np.ones(graph.n_local))
    forces = np.zeros((graph.n_local, 3))
    np.add.at(forces, graph.centres, gradients)
    np.subtract.at(forces, graph.neighbours, gradients)
    return forces


def run(name: str, options) -> None:
    """Print the rows of one model."""
    architecture, tensors = model_of(name)
    model = build_model(architecture, unpack_tensors(tensors), "float64")
    backbone = MaceNativeBackbone(architecture, tensors, precision="float64", table_tolerance=1e-10, threads=1)
    atoms = crystal(backbone)
    graph = graph_of_frames([atoms], backbone.elements, backbone.cutoff)[0]
    present = range(len(backbone.elements)) if options.all_pairs else np.unique(graph.species)
    pairs = list(itertools.combinations_with_replacement([int(z) for z in present], 2))
    last = max(key for key in tensors if key.startswith("interactions.1.conv_tp_weights.") and key.endswith(".weight"))
    weight = np.array(tensors[last], dtype=np.float64)
    _, singular, right = np.linalg.svd(triangle(model, pairs) @ weight, full_matrices=False)
    exact = forces_of(backbone, graph)
    single = forces_of(MaceNativeBackbone(architecture, tensors, precision="float32", threads=1), graph)
    print(f"\n{name}: {weight.shape[0]} hidden functions, {weight.shape[1]} columns, {len(pairs)} pairs; {atoms.get_chemical_formula()}, "
          f"{len(graph.centres) / graph.n_local:.0f} neighbours, forces {np.sqrt((exact**2).mean()):.3g} eV/A rms")
    print(f"float32 in place of a basis: {np.abs(single - exact).max():.1e} largest, {np.sqrt(((single - exact) ** 2).mean()):.1e} rms")
    print("| q | left out | force error, largest, eV/A | rms |\n|---|---|---|---|")
    for q in options.ranks:
        changed = dict(tensors) | {last: weight @ right[:q].T @ right[:q]}
        other = MaceNativeBackbone(architecture, changed, precision="float64", table_tolerance=1e-10, threads=1)
        error = forces_of(other, graph) - exact
        left = np.sqrt((singular[q:] ** 2).sum() / (singular**2).sum())
        print(f"| {q} | {left:.1e} | {np.abs(error).max():.1e} | {np.sqrt((error**2).mean()):.1e} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["medium", "nbmotaw"])
    parser.add_argument("--ranks", nargs="+", type=int, default=[8, 16, 24, 32, 40, 48, 64])
    parser.add_argument("--all-pairs", action="store_true", help="of the model's elements, not only of the crystal's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.models:
        run(name, options)


if __name__ == "__main__":
    main()
