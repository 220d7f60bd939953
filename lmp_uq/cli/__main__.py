# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m lmp_uq.cli``."""

from lmp_uq.cli import main

raise SystemExit(main())
