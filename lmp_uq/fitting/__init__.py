# SPDX-License-Identifier: GPL-2.0-or-later
"""From a stream of predictions to a posterior: weights, blocks of rows, streams, what a linear potential adds."""
