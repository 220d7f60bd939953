# SPDX-License-Identifier: GPL-2.0-or-later
"""The ASE calculator, where users import it from."""

from lmp_uq.run.calculator import BARS, UqCalculator, declare_bars

__all__ = ["BARS", "UqCalculator", "declare_bars"]
