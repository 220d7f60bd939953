# SPDX-License-Identifier: GPL-2.0-or-later
"""The file format *.uq: container, what a reader refuses, provenance."""

from __future__ import annotations

from lmp_uq.modelfile.file import SUFFIX, ModelFile, embedded_models, read, resolve, write

__all__ = ["SUFFIX", "ModelFile", "embedded_models", "read", "resolve", "write"]
