# SPDX-License-Identifier: GPL-2.0-or-later
"""The file format *.uq: what is read and written, its header as records, provenance."""

from __future__ import annotations

from lmp_uq.modelfile.file import SUFFIX, ModelFile, embedded_models, parse, read, resolve, write
from lmp_uq.modelfile.header import Header

__all__ = ["SUFFIX", "Header", "ModelFile", "embedded_models", "parse", "read", "resolve", "write"]
