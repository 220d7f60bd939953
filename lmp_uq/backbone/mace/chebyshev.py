# SPDX-License-Identifier: GPL-2.0-or-later
"""Chebyshev radial functions with a derivative.

torch's ``special.chebyshev_polynomial_t`` has none, and says nothing: forces that mace-torch gives for a model of this basis lack the
derivative of its radial functions and are not those of its energy.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

_LOG = logging.getLogger(__name__)


class ChebyshevBasis(torch.nn.Module):
    """T_n(x) by recursion.

    Parameters
    ----------
    orders : tensor (1, n_functions)
    """

    def __init__(self, orders: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("n", orders)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n_edges, 1) to (n_edges, n_functions)."""
        orders = [int(order) for order in self.get_buffer("n").flatten()]
        values = [torch.ones_like(x), x]
        while len(values) <= max(orders):
            values.append(2 * x * values[-1] - values[-2])
        return torch.cat([values[order] for order in orders], dim=-1)


def give_derivative(model: Any, *, warn: bool = False) -> None:
    """Put `ChebyshevBasis` in the place of mace-torch's, if a model has that.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    warn : bool
        Say what it changes.
    """
    basis = model.radial_embedding.bessel_fn
    if type(basis).__name__ != "ChebychevBasis":
        return
    model.radial_embedding.bessel_fn = ChebyshevBasis(basis.n)
    if warn:
        _LOG.warning(
            "radial basis chebyshev: mace-torch's forces of such a model lack the derivative of the radial functions; "
            "forces here are the derivative of the energy, and differ from them"
        )
