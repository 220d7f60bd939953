# SPDX-License-Identifier: GPL-2.0-or-later
"""POPS regression: the estimator, and its passes over blocks of rows and ranks."""
