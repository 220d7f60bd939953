# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False
# distutils: language = c++
"""The door from Python into csrc: the reader of model files, the posterior head, and MACE models, which Python sees through
lmp_uq.backbone.mace.native_engine. What they refuse is a `lmp_uq.errors.UqError` with their text."""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool
from libcpp.map cimport map as cmap
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector
from cython.operator cimport dereference, preincrement

import json
import os
import time

import numpy as np

from lmp_uq.errors import UqError

cdef extern from "file/tensor.h" namespace "lmp_uq":
    cdef cppclass Tensors "lmp_uq::Tensors":
        Tensors()

cdef extern from *:
    """
    #include <cstring>
    #include <new>
    #include <stdexcept>
    // in the catch block of a call from Python; paths in a text may hold bytes that are no UTF-8
    static void raise_uq_error()
    {
      try {
        throw;
      } catch (const std::runtime_error &failure) {
        PyObject *module = PyImport_ImportModule("lmp_uq.errors");
        PyObject *type = module ? PyObject_GetAttrString(module, "UqError") : nullptr;
        PyObject *text = PyUnicode_DecodeUTF8(failure.what(), std::strlen(failure.what()), "surrogateescape");
        if (type && text) PyErr_SetObject(type, text);
        Py_XDECREF(text);
        Py_XDECREF(type);
        Py_XDECREF(module);
      } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
      } catch (const std::exception &failure) {
        PyErr_SetString(PyExc_RuntimeError, failure.what());
      }
    }
    """
    void raise_uq_error()

cdef extern from "base/threads.h" namespace "lmp_uq":
    double shared_out "lmp_uq::shared_out_seconds" ()

cdef extern from "mace/architecture.h" namespace "lmp_uq":
    cdef cppclass Architecture:
        int n_features()

cdef extern from "mace/engine.h" namespace "lmp_uq":
    cdef cppclass AtomGraph:
        int n_local, n_nodes
        const int64_t *species
        int64_t n_edges
        const int64_t *centres
        const int64_t *neighbours
        const double *vectors
    cdef cppclass CppRows "lmp_uq::GhostRows":
        void *holder
        int width
        void (*pack)(void *, int, const int *, double *) nogil
        void (*unpack)(void *, int, int, const double *) nogil
        void (*add)(void *, int, const int *, const double *) nogil
    cdef cppclass GhostExchange:
        void *context
        int (*forward)(void *, const CppRows *)
        int (*reverse)(void *, const CppRows *)
        const double *shifts
    cdef cppclass EngineState "lmp_uq::Engine::State":
        pass
    cdef cppclass CppHead "lmp_uq::Engine::Head":
        size_t n_bytes()
        void energy_bars(const EngineState &, double *, double *, double *) except +raise_uq_error nogil
        void grades(const EngineState &, double *) except +raise_uq_error nogil
        void force_values(size_t, const ForceColumns &, const ForceFormula &, double *) except +raise_uq_error nogil
        void member_std(size_t, int, const double *, double *) except +raise_uq_error nogil
        void feature_sum(const EngineState &, double *) except +raise_uq_error nogil
        void neighbour_means(const EngineState &, const double *, double *) except +raise_uq_error nogil
    cdef cppclass CppEngine "lmp_uq::Engine":
        const Architecture &shape()
        const char *instruction_set()
        size_t table_bytes()
        size_t n_bytes()
        int n_threads()
        unique_ptr[EngineState] evaluate(const AtomGraph &, const GhostExchange &, cbool, double *, double *) except +raise_uq_error nogil
        void pull(const EngineState &, const GhostExchange &, int, const double *, const double *, double *) except +raise_uq_error nogil
        unique_ptr[CppHead] make_head(const head_view &) except +raise_uq_error
        void descriptors(const EngineState &, double *) except +raise_uq_error nogil

cdef extern from *:
    """
    static std::unique_ptr<lmp_uq::Engine> make_engine(const std::string &architecture, const lmp_uq::Tensors &tensors, bool single_precision,
                                                       double table_tolerance, bool single_precision_bars, int threads, int device)
    {
      return lmp_uq::Engine::make(lmp_uq::Json::parse(architecture), tensors, {single_precision, table_tolerance, single_precision_bars, threads, device});
    }
    static int add_tensor(lmp_uq::Tensors &tensors, const std::string &name, const std::string &dtype, const std::vector<size_t> &shape,
                          const void *data)
    {
      using lmp_uq::DType;
      static const std::map<std::string, DType> known = {
          {"float32", DType::F32}, {"float64", DType::F64}, {"int32", DType::I32}, {"int64", DType::I64},
          {"uint64", DType::U64}, {"bool", DType::BOOL}, {"uint8", DType::U8}, {"float16", DType::F16},
          {"int16", DType::I16}, {"int8", DType::I8}, {"uint32", DType::U32}, {"uint16", DType::U16}};
      const auto found = known.find(dtype);
      if (found == known.end()) return 0;
      tensors[name] = {found->second, shape, data};
      return 1;
    }
    """
    unique_ptr[CppEngine] make_engine(const string &, const Tensors &, cbool, double, cbool, int, int) except +raise_uq_error nogil
    int add_tensor(Tensors &, const string &, const string &, const vector[size_t] &, const void *)


cdef dict add_arrays(Tensors &views, arrays):
    """Views of arrays; what is returned holds their bytes."""
    cdef vector[size_t] shape
    cdef size_t address
    held = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in held.items():
        shape = array.shape
        address = array.ctypes.data
        if not add_tensor(views, name.encode("utf-8", "surrogatepass"), array.dtype.name.encode(), shape, <const void *> address):
            raise UqError(f"MACE tensors: {name} is of type {array.dtype}; accepted: real and whole numbers")
    return held


include "_native_file.pxi"
include "_native_head.pxi"
include "_native_readout.pxi"
include "_native_device.pxi"


cdef class Exchange:
    """Lends a Python exchange to the engine for one call; keeps the exception that it raised."""
    cdef object exchange, failure
    cdef int n_nodes

    cdef int run(self, const CppRows *rows, bint forward) noexcept:
        cdef GhostRows lent = GhostRows.__new__(GhostRows)
        lent.rows, lent.n_nodes, lent.width = rows, self.n_nodes, rows.width
        try:
            (self.exchange.forward if forward else self.exchange.reverse)(lent)
            return 0
        except BaseException as failure:
            self.failure = failure
            return 1
        finally:
            lent.rows = NULL


cdef int forward_rows(void *context, const CppRows *rows) noexcept with gil:
    return (<Exchange> context).run(rows, True)


cdef int reverse_rows(void *context, const CppRows *rows) noexcept with gil:
    return (<Exchange> context).run(rows, False)


cdef class GhostRows:
    """Rows of the engine as a `lmp_uq.backbone.graph.GhostRows`, while the exchange that they were handed to runs."""
    cdef const CppRows *rows
    cdef int n_nodes
    cdef readonly int width

    def pack(self, nodes):
        """Rows of nodes, (len(nodes), width)."""
        cdef int[::1] which = self.checked(nodes)
        out = np.zeros((len(which), self.width))
        cdef double[:, ::1] to = out
        if out.size:
            self.rows.pack(self.rows.holder, <int> len(which), &which[0], &to[0, 0])
        return out

    def unpack(self, int first, rows):
        """Into the rows of consecutive nodes."""
        cdef const double[:, ::1] given = self.fitting(rows, len(rows))
        self.checked([first, first + len(given) - 1] if len(given) else [])
        if given.size:
            self.rows.unpack(self.rows.holder, first, <int> len(given), &given[0, 0])

    def add(self, nodes, rows):
        """To the rows of nodes."""
        cdef int[::1] which = self.checked(nodes)
        cdef const double[:, ::1] given = self.fitting(rows, len(which))
        if given.size:
            self.rows.add(self.rows.holder, <int> len(which), &which[0], &given[0, 0])

    cdef object checked(self, nodes):
        if self.rows == NULL:
            raise RuntimeError("rows of an exchange that is over")
        nodes = np.ascontiguousarray(nodes, dtype=np.int32)
        if nodes.size and not 0 <= nodes.min() <= nodes.max() < self.n_nodes:
            raise UqError(f"exchange: nodes {nodes.min()} to {nodes.max()}; accepted: 0 to {self.n_nodes - 1}")
        return nodes

    cdef object fitting(self, rows, n):
        if np.shape(rows) != (n, self.width):
            raise UqError(f"exchange: rows have shape {np.shape(rows)}; accepted: {(n, self.width)}")
        return np.ascontiguousarray(rows, dtype=np.float64)


cdef class State:
    """What `Engine.pull` needs of one evaluation."""
    cdef unique_ptr[EngineState] state
    cdef readonly object graph
    cdef readonly int n_local, n_nodes
    cdef readonly Py_ssize_t n_edges


cdef double in_engines = 0.0


cdef void count(double start):
    global in_engines
    in_engines += time.perf_counter() - start


def engine_seconds():
    """Wall time in seconds of `Engine.evaluate` and `Engine.pull` so far, and what of it this thread spent in work that an engine's threads
    share out, waiting for the others included. The rest is the serial share."""
    return in_engines, shared_out()


cdef class Engine:
    """A MACE model in csrc/mace/cpu.

    Parameters
    ----------
    architecture : mapping
        See `lmp_uq.backbone.mace.architecture.FIELDS`.
    tensors : mapping of str to array
        Packed state dict.
    single_precision : bool
    table_tolerance : float
        See csrc/mace/engine.h; below 0 the precision's own, 0 no tables.
    single_precision_bars : bool
        Pulls of descriptor weights alone in float32.
    threads : int
        Of each call; 0: as many as OpenMP says.
    device : int
        Number of a CUDA device, see `choose_device`; -1: the CPU.

    Raises
    ------
    UqError
        A feature that the engine does not run, or tensors that do not fit.
    """
    cdef unique_ptr[CppEngine] engine
    cdef object arrays

    def __init__(self, architecture, tensors, bint single_precision, double table_tolerance, bint single_precision_bars, int threads, int device=-1):
        cdef Tensors views
        cdef string text = json.dumps(architecture).encode()
        self.arrays = add_arrays(views, tensors)    # their bytes are the engine's
        with nogil:
            self.engine = make_engine(text, views, single_precision, table_tolerance, single_precision_bars, threads, device)

    @property
    def instruction_set(self):
        """Name of the vectors that the loops use on this processor."""
        return (<bytes> self.engine.get().instruction_set()).decode()

    @property
    def table_bytes(self):
        """Memory of the radial tables made so far."""
        return self.engine.get().table_bytes()

    @property
    def n_bytes(self):
        """Memory of weights, tables and work space."""
        return self.engine.get().n_bytes()

    @property
    def n_threads(self):
        """Threads that a call uses."""
        return self.engine.get().n_threads()

    @property
    def n_features(self):
        """Descriptors per atom."""
        return self.engine.get().shape().n_features()

    def evaluate(self, graph, cbool keep, cbool fetch=True):
        """Energies (n_local,), descriptors (n_local, n_features) and, if it is to be kept, state of a `lmp_uq.backbone.graph.Graph`. Where
        they are not fetched, for a `DeviceHead`, descriptors are None and there is a state, without derivatives if these are not kept."""
        cdef int64_t[::1] species = np.ascontiguousarray(graph.species, dtype=np.int64)
        cdef int64_t[::1] centres = np.ascontiguousarray(graph.centres, dtype=np.int64)
        cdef int64_t[::1] neighbours = np.ascontiguousarray(graph.neighbours, dtype=np.int64)
        cdef double[:, ::1] vectors = np.ascontiguousarray(graph.vectors, dtype=np.float64)
        energies, descriptors = np.zeros(graph.n_local), np.zeros((graph.n_local if fetch else 0, self.n_features))
        cdef double[::1] e = energies
        cdef double[:, ::1] d = descriptors
        cdef State state = State.__new__(State)
        cdef AtomGraph view
        cdef GhostExchange hooks
        cdef double nothing
        cdef Exchange exchange = lend(graph.exchange, len(species), &hooks)
        state.graph, state.n_local, state.n_nodes, state.n_edges = graph, graph.n_local, len(species), len(centres)
        view.n_local, view.n_nodes, view.n_edges = state.n_local, state.n_nodes, state.n_edges
        view.species = &species[0] if len(species) else NULL
        view.centres = &centres[0] if len(centres) else NULL
        view.neighbours = &neighbours[0] if len(centres) else NULL
        view.vectors = &vectors[0, 0] if len(centres) else NULL
        cdef double *e_out = &e[0] if state.n_local else &nothing
        cdef double *d_out = &d[0, 0] if len(d) else &nothing
        if not fetch:
            d_out = NULL
        cdef double start = time.perf_counter()
        try:
            with nogil:
                state.state = self.engine.get().evaluate(view, hooks, keep, e_out, d_out)
            count(start)
        except UqError:
            if exchange.failure is not None:
                raise exchange.failure from None
            raise
        return energies, descriptors if fetch else None, state if keep or not fetch else None

    def descriptors(self, State state not None):
        """(n_local, n_features) that stayed with a state."""
        cdef double[:, ::1] out = np.empty((state.n_local + 1, self.n_features))
        with nogil:
            self.engine.get().descriptors(state.state.get()[0], &out[0, 0])
        return np.asarray(out)[: state.n_local]

    def pull(self, State state not None, int n_sets, energy_weights, descriptor_weights):
        """Gradients (n_sets, n_edges, 3); weights are C-contiguous float64 of the right shapes or None."""
        gradients = np.zeros((n_sets, state.n_edges, 3))
        cdef double[:, :, ::1] g = gradients
        cdef const double[:, ::1] w
        cdef const double[:, :, ::1] big_w
        cdef const double *w_in = NULL
        cdef const double *big_w_in = NULL
        cdef double nothing = 0.0
        cdef double *out = &g[0, 0, 0] if n_sets and state.n_edges else &nothing
        cdef GhostExchange hooks
        cdef Exchange exchange = lend(state.graph.exchange, state.n_nodes, &hooks)
        if energy_weights is not None and state.n_local and n_sets:
            w = energy_weights
            w_in = &w[0, 0]
        if descriptor_weights is not None and state.n_local and n_sets:
            big_w = descriptor_weights
            big_w_in = &big_w[0, 0, 0]
        cdef double start = time.perf_counter()
        try:
            with nogil:
                self.engine.get().pull(state.state.get()[0], hooks, n_sets, w_in, big_w_in, out)
            count(start)
        except UqError:
            if exchange.failure is not None:
                raise exchange.failure from None
            raise
        return gradients


cdef Exchange lend(exchange, Py_ssize_t n_nodes, GhostExchange *hooks):
    cdef Exchange lent = Exchange.__new__(Exchange)
    lent.exchange, lent.n_nodes = exchange, <int> n_nodes
    hooks.context = <void *> lent
    hooks.forward = NULL
    hooks.reverse = NULL
    hooks.shifts = NULL
    if exchange is not None:
        hooks.forward = forward_rows
        hooks.reverse = reverse_rows
    return lent


include "_native_device_head.pxi"
