# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# distutils: language = c++
"""The door from Python into csrc/engine: its reader of model files. What it refuses is a `lmp_uq.errors.UqError` with its text."""
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.map cimport map as cmap
from libcpp.string cimport string
from libcpp.vector cimport vector
from cython.operator cimport dereference, preincrement

import numpy as np

from lmp_uq.errors import UqError

cdef extern from "json.h" namespace "lmp_uq":
    cdef cppclass Json:
        Json()
        cbool is_null() const
        cbool is_bool() const
        cbool is_integer() const
        cbool is_number() const
        cbool is_string() const
        cbool is_array() const
        # of another kind of value these throw; here they are called of the right one only
        cbool boolean() const
        double number() const
        const string &digits() const
        const string &text "string" () const
        const vector[Json] &array() const
        const vector[string] &keys() const
        const vector[Json] &values() const
    Json parse_json "lmp_uq::Json::parse" (const string &) except +

cdef extern from "tensor.h" namespace "lmp_uq":
    cdef enum DType "lmp_uq::DType":
        pass
    cdef cppclass Tensor:
        DType dtype
        vector[size_t] shape
        const void *data
        size_t size() const
        vector[double] doubles() except +
    const char *numpy_name(DType)

cdef extern from "model_file.h" namespace "lmp_uq":
    cdef cppclass ModelFile:
        const Json &header() const
        const cmap[string, Tensor] &tensors() const
        const string &sha256() const

cdef extern from *:
    """
    static lmp_uq::ModelFile *new_model_file(const std::string &path) { return new lmp_uq::ModelFile(lmp_uq::ModelFile::read(path)); }
    """
    ModelFile *new_model_file(const string &) except +


cdef object to_python(const Json &value):
    cdef size_t k
    if value.is_null():
        return None
    if value.is_bool():
        return bool(value.boolean())
    if value.is_integer():
        return int(value.digits())
    if value.is_number():
        return value.number()
    if value.is_string():
        return value.text().decode()
    if value.is_array():
        return [to_python(value.array()[k]) for k in range(value.array().size())]
    return {value.keys()[k].decode(): to_python(value.values()[k]) for k in range(value.keys().size())}


cdef object to_array(const Tensor &tensor):
    out = np.empty(tuple(tensor.shape), dtype=(<bytes> numpy_name(tensor.dtype)).decode())
    cdef char[::1] bytes_out
    if out.size:
        bytes_out = out.reshape(-1).view(np.int8)
        memcpy(&bytes_out[0], tensor.data, out.nbytes)
    return out


def json_of(text):
    """What the engine's parser makes of a JSON text.  UqError with its message for a text that it refuses."""
    data = text.encode() if isinstance(text, str) else text
    try:
        return to_python(parse_json(data))
    except RuntimeError as error:
        raise UqError(str(error)) from None


def read_model(path):
    """A model file as the engine's reader sees it: a header, arrays by name (copies) and the SHA-256 of the file.

    Raises
    ------
    UqError
        What `lmp_uq.modelfile.read` refuses, with the same text.
    """
    tensors = {}
    cdef cmap[string, Tensor].const_iterator item
    cdef ModelFile *file
    try:
        file = new_model_file(str(path).encode())
    except RuntimeError as error:
        raise UqError(str(error)) from None
    try:
        item = file.tensors().const_begin()
        while item != file.tensors().const_end():
            tensors[dereference(item).first.decode()] = to_array(dereference(item).second)
            preincrement(item)
        return to_python(file.header()), tensors, file.sha256().decode()
    finally:
        del file
