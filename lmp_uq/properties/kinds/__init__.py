# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of properties a suite can ask for; registry names them."""
