# SPDX-License-Identifier: GPL-2.0-or-later
"""What the fit sees of a frame: predictions, descriptors, rows of the linear corrector, kept on disk."""
