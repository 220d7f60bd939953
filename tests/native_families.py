# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of MACE model that the native engine runs, small and with random weights."""

from __future__ import annotations

import functools

import torch
from tiny_models import MH1, density_model, mh1_model, omol_model, plain_model, residual_model

from lmp_uq.backbone.mace.architecture import GATES, INTERACTIONS, READOUTS, o3
from lmp_uq.backbone.mace.describe import describe_mace

_DENSITY_RESIDUAL = INTERACTIONS["RealAgnosticDensityResidualInteractionBlock"]
FAMILIES = {
    "density 0": lambda: density_model(hidden_irreps=o3.Irreps("8x0e"), max_ell=3, correlation=3),
    "density 0+1, three elements, 17 channels": lambda: density_model(
        hidden_irreps=o3.Irreps("17x0e+17x1o"), max_ell=3, correlation=3, atomic_numbers=[1, 8, 14]
    ),
    "density 0+1+2, residual first": lambda: density_model(
        hidden_irreps=o3.Irreps("5x0e+5x1o+5x2e"), max_ell=3, correlation=2, interaction_cls_first=_DENSITY_RESIDUAL
    ),
    "density 0+1, harmonics of degree 1, products without elements": lambda: density_model(
        max_ell=1, correlation=3, use_agnostic_product=True
    ),
    "density, one layer, repulsion without transform": lambda: density_model(num_interactions=1, distance_transform="None"),
    "transform without repulsion, envelope outside the basis, orders 1 and 3": lambda: density_model(
        pair_repulsion=False, apply_cutoff=False, correlation=[1, 3], max_ell=1
    ),
    "two heads, last readout only": lambda: density_model(heads=["low", "high"], use_last_readout_only=True),
    "residual, three layers": residual_model,
    "residual 0+1+2, reduced couplings": lambda: residual_model(
        hidden_irreps=o3.Irreps("4x0e+4x1o+4x2e"), num_interactions=2, max_ell=2, correlation=2, use_reduced_cg=True
    ),
    "nonlinear, biased readout, two heads": mh1_model,
    **{
        f"density, biased readout, gate {name}": functools.partial(
            density_model, max_ell=1, readout_cls=READOUTS["NonLinearBiasReadoutBlock"], gate=gate
        )
        for name, gate in GATES.items()
    },
    "nonlinear 0+1+2, three layers": omol_model,
    **{
        f"nonlinear, edges {edges}{' in both layers' * first}": functools.partial(
            omol_model, num_interactions=2, max_ell=2, hidden_irreps=o3.Irreps("6x0e+6x1o+6x2e"), edge_irreps=o3.Irreps(edges),
            use_edge_irreps_first=first,
        )
        for edges, first in (("3x0e+5x1o+2x2e", False), ("5x0e+2x2e", True), ("4x0e", False))
    },
    "nonlinear after residual, edges as wide as hidden features": lambda: residual_model(
        num_interactions=2, interaction_cls=MH1["interaction_cls"], apply_cutoff=False
    ),
    "nonlinear, one layer, envelope inside the basis": lambda: omol_model(
        num_interactions=1, apply_cutoff=True, correlation=[2], max_ell=2, edge_irreps=None
    ),
    "old": plain_model,
    "old 0+1": lambda: plain_model(hidden_irreps=o3.Irreps("8x0e+8x1o"), max_ell=3),
    "old, one layer": lambda: plain_model(num_interactions=1),
    "Soft transform, Gaussian basis, gate tanh": lambda: density_model(
        distance_transform="Soft", radial_type="gaussian", num_bessel=9, gate=torch.tanh
    ),
    "old, Soft transform, one layer": lambda: plain_model(num_interactions=1, distance_transform="Soft"),
    "Gaussian basis of distances, gate abs, repulsion": lambda: residual_model(
        num_interactions=2, radial_type="gaussian", gate=torch.abs, pair_repulsion=True
    ),
    "Chebyshev basis of transformed distances, envelope outside the basis": lambda: density_model(
        radial_type="chebyshev", num_bessel=8, apply_cutoff=False
    ),
    "Chebyshev basis of distances": lambda: plain_model(radial_type="chebyshev", num_bessel=3),
    "four layers, orders 1 to 3, no gate": lambda: residual_model(
        num_interactions=4, correlation=[1, 3, 2, 3], hidden_irreps=o3.Irreps("4x0e+4x1o"), gate=None
    ),
    "four layers of density, last readout only": lambda: density_model(
        num_interactions=4, correlation=[2, 1, 2, 2], max_ell=1, hidden_irreps=o3.Irreps("4x0e+4x1o"), use_last_readout_only=True
    ),
}


@functools.cache
def described(name: str, head: str | None = None):
    """Architecture and tensors of a family's model."""
    return describe_mace(FAMILIES[name](), head=head or ("high" if "heads" in name else None))
