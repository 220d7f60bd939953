# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# distutils: language = c++
"""The door from Python into csrc/engine: its reader of model files and its posterior head. What they refuse is a `lmp_uq.errors.UqError`
with their text."""
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.map cimport map as cmap
from libcpp.string cimport string
from libcpp.vector cimport vector
from cython.operator cimport dereference, preincrement

import contextlib

import numpy as np

from lmp_uq.errors import UqError

cdef extern from "base/json.h" namespace "lmp_uq":
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

cdef extern from "file/tensor.h" namespace "lmp_uq":
    cdef enum DType "lmp_uq::DType":
        pass
    cdef cppclass Tensor:
        DType dtype
        vector[size_t] shape
        const void *data
        size_t size() const
        vector[double] doubles() except +
    const char *numpy_name(DType)

cdef extern from "file/model_file.h" namespace "lmp_uq":
    cdef cppclass ModelFile:
        const Json &header() const
        const cmap[string, Tensor] &tensors() const
        const string &sha256() const

cdef extern from "head/posterior.h" namespace "lmp_uq":
    cdef cppclass PosteriorOptions:
        PosteriorOptions()
        int n_members, n_force_members
        cbool conservative, learned
        string name
    cdef cppclass CPosterior "lmp_uq::Posterior":
        CPosterior(const ModelFile &, const vector[int] &, const PosteriorOptions &) except +
        cbool has_box() const
        cbool has_grade() const
        cbool has_force_error() const
        cbool has_level(double) const
        double energy_factor() const
        double stress_factor() const
        int n_descriptors() const
        int n_features() const
        int n_members() const
        int n_force_members() const
        const double *force_member(int) const
        vector[int] unknown_elements() const
        void use_threads(int)
        void energy_bars(size_t, const double *, const int64_t *, const double *, double *, double *, double *) except +
        void grades(size_t, const double *, const int64_t *, double *) except +
        void force_errors(size_t, const double *, const int64_t *, const double *, const double *, double, double *) except +
        void feature_sum(size_t, const double *, const int64_t *, double *) except +
        void totals(const double *, double, double *) except +
        void member_energies(const double *, double, double *) except +

cdef extern from "head/ordinal_head.h" namespace "lmp_uq":
    cdef cppclass OrdinalVariables "lmp_uq::OrdinalHead::Variables":
        double force, grade, neighbours
    cdef cppclass COrdinalHead "lmp_uq::OrdinalHead":
        COrdinalHead(const Json &, const cmap[string, Tensor] &) except +
        double middle() const
        int position(double) except +
        int width() const
        void above(int, int, const double *const *, const OrdinalVariables *, double *, double *, double *) except +

cdef extern from "head/box.h" namespace "lmp_uq":
    double c_normal_score "lmp_uq::normal_score" (double)

cdef extern from *:
    """
    static lmp_uq::ModelFile *new_model_file(const std::string &path) { return new lmp_uq::ModelFile(lmp_uq::ModelFile::read(path)); }
    static lmp_uq::OrdinalHead *new_ordinal_head(const lmp_uq::ModelFile &file)
    {
      return new lmp_uq::OrdinalHead(file.header().at("calibration").at("ordinal"), file.section("calibration/ordinal"));
    }
    """
    ModelFile *new_model_file(const string &) except +
    COrdinalHead *new_ordinal_head(const ModelFile &) except +


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


def normal_score(double tail):
    """z with a share `tail` of a normal distribution above it, 0 < tail <= 1/2."""
    return c_normal_score(tail)


def read_model(path):
    """A model file as the engine's reader sees it: a header, arrays by name (copies) and the SHA-256 of the file.

    Raises
    ------
    UqError
        What `lmp_uq.modelfile.file.read` refuses, with the same text.
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


cdef class NativePosterior:
    """The posterior head of the native engine, fed with descriptors; see csrc/engine/posterior.h.

    Parameters
    ----------
    path : str or Path
        A model file.
    elements : sequence of int
        For each species the number of its element in the file.
    n_members, n_force_members, conservative, learned
        As in `lmp_uq.run.engine.Engine.load`.
    threads : int
        Of the per-atom fields.

    Raises
    ------
    UqError
        What the reader or the head refuses.
    """
    cdef CPosterior *head

    def __cinit__(self, path, elements, *, int n_members=0, int n_force_members=0, bint conservative=False, bint learned=False,
                  int threads=1):
        cdef PosteriorOptions options
        cdef ModelFile *file = NULL
        options.n_members, options.n_force_members = n_members, n_force_members
        options.conservative, options.learned, options.name = conservative, learned, str(path).encode()
        try:
            file = new_model_file(str(path).encode())
            self.head = new CPosterior(dereference(file), elements, options)
            self.head.use_threads(threads)
        except RuntimeError as error:
            raise UqError(str(error)) from None
        finally:
            del file

    def __dealloc__(self):
        del self.head

    @property
    def counts(self):
        """(descriptors, features, members, force members)."""
        return self.head.n_descriptors(), self.head.n_features(), self.head.n_members(), self.head.n_force_members()

    @property
    def factors(self):
        """Error over std of a total energy and of a stress; 0 where not calibrated."""
        return self.head.energy_factor(), self.head.stress_factor()

    @property
    def unknown_elements(self):
        """Elements in use without training atoms."""
        return list(self.head.unknown_elements())

    def offers(self, level=None):
        """Whether there are energy bars, grades and force errors (of a level)."""
        return self.head.has_box(), self.head.has_grade(), self.head.has_force_error() if level is None else self.head.has_level(level)

    def force_members(self):
        """(n_force_members, P) array."""
        return np.array([[self.head.force_member(k)[p] for p in range(self.head.n_descriptors())] for k in range(self.head.n_force_members())])

    def energy_bars(self, descriptors, species, energies):
        """(3, n) array: std, lower, upper in eV."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[::1] e = self.column(energies, np.float64, len(d))
        cdef double[:, ::1] out = np.empty((3, len(d) + 1))
        with translated():
            self.head.energy_bars(len(d) - 1, &d[0, 0], &s[0], &e[0], &out[0, 0], &out[1, 0], &out[2, 0])
        return np.asarray(out)[:, : len(d) - 1]

    def grades(self, descriptors, species):
        """(n,) array."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[::1] out = np.empty(len(d))
        with translated():
            self.head.grades(len(d) - 1, &d[0, 0], &s[0], &out[0])
        return np.asarray(out)[: len(d) - 1]

    def force_errors(self, descriptors, species, force_norm, grade, double level):
        """(n,) array, eV/Angstrom."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[::1] f = self.column(force_norm, np.float64, len(d))
        cdef double[::1] g = self.column(grade, np.float64, len(d))
        cdef double[::1] out = np.empty(len(d))
        with translated():
            self.head.force_errors(len(d) - 1, &d[0, 0], &s[0], &f[0], &g[0], level, &out[0])
        return np.asarray(out)[: len(d) - 1]

    def feature_sum(self, descriptors, species):
        """(n_features,) array."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[::1] out = np.empty(self.head.n_features() + 1)
        self.head.feature_sum(len(d) - 1, &d[0, 0], &s[0], &out[0])
        return np.asarray(out)[:-1]

    def totals(self, feature_sum, double energy):
        """(3,) array: std, lower, upper in eV."""
        cdef double[::1] total = self.column(feature_sum, np.float64, self.head.n_features() + 1)
        cdef double[::1] out = np.empty(3)
        with translated():
            self.head.totals(&total[0], energy, &out[0])
        return np.asarray(out)

    def member_energies(self, feature_sum, double energy):
        """(n_members,) array, eV."""
        cdef double[::1] total = self.column(feature_sum, np.float64, self.head.n_features() + 1)
        cdef double[::1] out = np.empty(self.head.n_members() + 1)
        self.head.member_energies(&total[0], energy, &out[0])
        return np.asarray(out)[:-1]

    # one row more than there are atoms: an array without numbers has no address
    cdef rows(self, descriptors):
        descriptors = np.asarray(descriptors, dtype=np.float64)
        if descriptors.ndim != 2 or descriptors.shape[1] != self.head.n_descriptors():
            raise UqError(f"descriptors have shape {descriptors.shape}; accepted: (n, {self.head.n_descriptors()})")
        return np.ascontiguousarray(np.vstack([descriptors, np.zeros((1, self.head.n_descriptors()))]))

    cdef column(self, values, dtype, Py_ssize_t length):
        values = np.asarray(values, dtype=dtype)
        if values.shape != (length - 1,):
            raise UqError(f"found an array of shape {values.shape}; accepted: ({length - 1},)")
        return np.append(values, np.zeros(1, dtype=dtype))


def ordinal_above(path, threshold, descriptors, force, grade, neighbours):
    """Probability (n,) that the force error exceeds a threshold, None: the middle one, by the ordinal head of a model file.

    Parameters
    ----------
    path : str or Path
    threshold : float or None
        eV/Angstrom.
    descriptors : (n, P) array
    force, grade, neighbours : (n,) arrays
        As in `lmp_uq.calibration.variables.ForceVariables`.

    Raises
    ------
    UqError
        What the reader or the head refuses.
    """
    cdef ModelFile *file = NULL
    cdef COrdinalHead *head = NULL
    cdef double[:, ::1] d = np.ascontiguousarray(descriptors, dtype=np.float64)
    cdef double[::1] f = np.ascontiguousarray(force, dtype=np.float64), g = np.ascontiguousarray(grade, dtype=np.float64)
    cdef double[::1] h = np.ascontiguousarray(neighbours, dtype=np.float64), out = np.empty(len(d))
    cdef const double *row
    cdef OrdinalVariables variables
    cdef uintptr_t scratch
    try:
        file = new_model_file(str(path).encode())
        head = new_ordinal_head(dereference(file))
        which = head.position(head.middle() if threshold is None else threshold)
        memory = np.empty(2 * head.width() + 16)
        scratch = (<uintptr_t>memory.ctypes.data + 63) // 64 * 64
        for i in range(len(d)):
            row, variables.force, variables.grade, variables.neighbours = &d[i, 0], f[i], g[i], h[i]
            head.above(which, 1, &row, &variables, <double *>scratch, <double *>scratch + head.width(), &out[i])
        return np.asarray(out)
    except RuntimeError as error:
        raise UqError(str(error)) from None
    finally:
        del head
        del file


@contextlib.contextmanager
def translated():
    """RuntimeError of the engine -> UqError."""
    try:
        yield
    except RuntimeError as error:
        raise UqError(str(error)) from None
