# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False
"""The door from LAMMPS into Python: a graph in, arrays out, exceptions as text. The other side is csrc/lammps/evaluator_python.cpp."""
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcpy, strlen, strncpy

import os
import sys
import traceback

import numpy as np

from lmp_uq.errors import UqError

cdef extern from "bridge.h":
    enum: UQ_BRIDGE_VERSION, UQ_MESSAGE_LENGTH, UQ_MAX_THRESHOLDS, UQ_N_FIELDS, UQ_N_QUANTITIES, UQ_OF_CORRECTION, UQ_OF_GRADES
    ctypedef struct uq_settings:
        const char *device, *precision
        int members, force_members, threads, conservative, learned, local_rank
    ctypedef struct uq_model_source:
        const char *name, *path, *sha256
        unsigned char *bytes
        size_t n_bytes
    ctypedef struct uq_model_info:
        double cutoff
        int n_features, n_members, n_force_members, has_readout, width, pull_width
        double energy_factor, stress_factor, energy_intercept, energy_slope
        int energy_of_grade
        int uses_correction, n_thresholds
        double thresholds[UQ_MAX_THRESHOLDS]
        int available[UQ_N_QUANTITIES]
        char sha256[65]
        char summary[1024]
        char warning[1024]
    ctypedef struct uq_ghost_rows:
        int width
    ctypedef struct uq_array:
        double *data
        int width
    uq_ghost_rows uq_rows_of(uq_array *) nogil
    ctypedef struct uq_ghost_exchange:
        void *context
        int (*forward)(void *, const uq_ghost_rows *) nogil
        int (*reverse)(void *, const uq_ghost_rows *) nogil
        const double *shifts
    ctypedef struct uq_graph:
        int n_local, n_ghost
        int64_t n_edges
        const int64_t *species, *centres, *neighbours
        const double *vectors
        uq_ghost_exchange exchange
    ctypedef struct uq_force_variables:
        const double *force_norm, *neighbour_grade, *correction_norm
    ctypedef struct uq_bridge:
        int version
        int (*load)(void **, const uq_settings *, const uq_model_source *, int, const char *const *, uq_model_info *, char *) noexcept
        int (*evaluate)(void *, const uq_graph *, int, double *, double *, char *) noexcept
        int (*member_gradients)(void *, const uq_graph *, int, int, double *, char *) noexcept
        int (*descriptor_gradients)(void *, const uq_graph *, int, const double *, double *, double *, char *) noexcept
        int (*energy_gradients)(void *, const uq_graph *, int, int, const double *, double *, char *) noexcept
        int (*per_atom)(void *, int, int, const uq_force_variables *, double, double *, char *) noexcept
        int (*feature_sum)(void *, double *, char *) noexcept
        int (*feature_sum_of)(void *, const uq_graph *, double *, char *) noexcept
        int (*totals)(void *, const double *, double, double *, char *) noexcept
        int (*member_energies)(void *, const double *, double, double *, char *) noexcept
        int (*memory_usage)(void *, double *, char *) noexcept
        void (*destroy)(void *) noexcept

cdef extern from *:
    """
    #include <Python.h>
    #include <stdio.h>
    /* Called by the plugin through dlsym, before there is an interpreter: the extension module is loaded as a plain library then. */
    __attribute__((visibility("default"))) int uq_start_interpreter(const char *executable, char *message, int length)
    {
      PyConfig config;
      PyStatus status;
      PyConfig_InitPythonConfig(&config);
      config.install_signal_handlers = 0;    /* Ctrl-C belongs to LAMMPS */
      config.parse_argv = 0;
      status = PyConfig_SetBytesString(&config, &config.executable, executable);    /* pyvenv.cfg is looked for beside it */
      if (!PyStatus_Exception(status)) status = PyConfig_SetBytesString(&config, &config.program_name, executable);
      if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
      PyConfig_Clear(&config);
      if (PyStatus_Exception(status)) {
        snprintf(message, length, "%s: %s", status.func ? status.func : "?", status.err_msg ? status.err_msg : "?");
        return 1;
      }
      PyEval_SaveThread();    /* every callback takes the GIL itself */
      return 0;
    }
    """


cdef class Exchange:
    """Ghost exchange of LAMMPS, of `lmp_uq.backbone.graph.ArrayRows`. Valid only inside the call it was made for, and inside those that
    lent() lends it the graph for once more."""
    cdef const uq_graph *graph
    cdef list unit_rows    # ghosts' rows of each reverse exchange of the pull with unit weights
    cdef int n_set, n_reversed

    cdef void begin(self, int n_set):
        """Before a pull of set n_set of moments: torch pulls one after another."""
        self.n_set, self.n_reversed = n_set, 0
        if n_set == 0:
            self.unit_rows = []

    cdef int shift(self, double[:, ::1] buffer) except -1:
        """See uq_bridge.energy_gradients."""
        ghosts = np.asarray(buffer)[self.graph.n_local:]
        if self.n_set == 0:
            self.unit_rows.append(ghosts.copy())
        else:
            shifts = doubles(self.graph.exchange.shifts, self.graph.n_ghost, 3)
            ghosts -= shifts[:, self.n_set - 1:self.n_set] * self.unit_rows[self.n_reversed]
        self.n_reversed += 1
        return 0

    cdef int run(self, double[:, ::1] array, bint forward) except -1:
        cdef int failed
        cdef double nothing = 0.0
        cdef uq_array held
        cdef uq_ghost_rows rows
        cdef const uq_ghost_exchange *exchange
        if self.graph == NULL:
            raise RuntimeError("ghost exchange outside of a LAMMPS step")
        if array.shape[0] != self.graph.n_local + self.graph.n_ghost:
            raise RuntimeError(f"ghost exchange of {array.shape[0]} rows, the rank has {self.graph.n_local + self.graph.n_ghost} nodes")
        exchange = &self.graph.exchange
        if exchange.forward == NULL:    # no ghosts anywhere
            return 0
        if not forward and exchange.shifts != NULL:
            self.shift(array)
        held.data = &array[0, 0] if array.shape[0] and array.shape[1] else &nothing
        held.width = <int> array.shape[1]
        rows = uq_rows_of(&held)
        with nogil:
            failed = exchange.forward(exchange.context, &rows) if forward else exchange.reverse(exchange.context, &rows)
        if failed:
            raise RuntimeError("LAMMPS' ghost exchange failed")
        return 0

    def forward(self, rows):
        """Ghosts' rows become copies of their owners' rows."""
        self.run(rows.array, True)

    def reverse(self, rows):
        """Owners' rows gain their ghosts' rows, which stay as they are."""
        self.run(rows.array, False)


cdef void put_text(char *target, object text, int length) noexcept:
    """Bytes of file names go back as they came: the plugin prints those that are no UTF-8."""
    try:
        data = str(text).encode("utf-8", "surrogateescape")[:length - 1]
        memcpy(target, <const char *> data, len(data))
        target[len(data)] = 0
    except BaseException:
        strncpy(target, b"(a message that cannot be encoded)", length - 1)


cdef void put_failure(char *message) noexcept:
    """A user's mistake as its sentence; anything else with its traceback, of which the end matters most."""
    kind, failure, _ = sys.exc_info()
    if isinstance(failure, UqError):
        put_text(message, failure, UQ_MESSAGE_LENGTH)
    else:
        put_text(message, "Python error\n" + traceback.format_exc()[-(UQ_MESSAGE_LENGTH - 100):], UQ_MESSAGE_LENGTH)


cdef object doubles(const double *data, Py_ssize_t rows, Py_ssize_t columns):
    if rows == 0 or data == NULL:
        return np.zeros((0, columns))
    return np.asarray(<double[:rows, :columns]> <double *> data)


cdef object integers(const int64_t *data, Py_ssize_t n):
    if n == 0:
        return np.zeros(0, np.int64)
    return np.asarray(<int64_t[:n]> <int64_t *> data)


cdef int load(void **engine, const uq_settings *settings, const uq_model_source *source, int n_elements, const char *const *elements,
              uq_model_info *info, char *message) noexcept with gil:
    cdef int k
    try:
        from lmp_uq import modelfile
        from lmp_uq.run.engine import FIELDS, TOTALS, Engine
        data = <unsigned char[:source.n_bytes]> source.bytes
        file = modelfile.parse(os.fsdecode(source.path), data, source.sha256.decode())
        obj = Engine.load(
            os.fsdecode(source.name), [os.fsdecode(elements[k]) for k in range(n_elements)], device=os.fsdecode(settings.device), engine="torch",
            precision=os.fsdecode(settings.precision), n_members=settings.members, n_force_members=settings.force_members,
            threads=settings.threads, conservative=bool(settings.conservative), learned=bool(settings.learned),
            local_rank=settings.local_rank, file=file)
        info.cutoff = obj.cutoff
        info.n_features, info.n_members, info.n_force_members = obj.n_features, obj.n_members, obj.n_force_members
        info.has_readout = obj.readout is not None
        info.width = info.pull_width = obj.exchange_width
        info.energy_factor, info.stress_factor = obj.factor("energy_error"), obj.factor("stress_error")
        info.energy_of_grade = obj.of_mean_grade
        info.energy_intercept, info.energy_slope = obj.energy_of_mean_grade()
        info.uses_correction = obj.uses_correction
        info.n_thresholds = len(obj.thresholds)
        for k in range(info.n_thresholds):
            info.thresholds[k] = obj.thresholds[k]
        for k in range(UQ_N_QUANTITIES):
            info.available[k] = obj.offers((FIELDS + TOTALS)[k])
        put_text(info.sha256, obj.sha256, 65)
        put_text(info.summary, obj.summary, 1024)
        put_text(info.warning, obj.warning, 1024)
        Py_INCREF(obj)
        engine[0] = <void *> <PyObject *> obj
        return 0
    except BaseException:
        put_failure(message)
        return 1


cdef object graph_of(const uq_graph *g, Exchange exchange):
    from lmp_uq.backbone.graph import Graph
    exchange.graph = g
    return Graph(species=integers(g.species, g.n_local + g.n_ghost), n_local=g.n_local, centres=integers(g.centres, g.n_edges),
                 neighbours=integers(g.neighbours, g.n_edges), vectors=doubles(g.vectors, g.n_edges, 3), exchange=exchange)


cdef int evaluate(void *engine, const uq_graph *g, int keep, double *energies, double *edge_gradients, char *message) noexcept with gil:
    cdef Exchange exchange = Exchange.__new__(Exchange)
    try:
        (<object> <PyObject *> engine).evaluate(
            graph_of(g, exchange), doubles(energies, g.n_local, 1)[:, 0], doubles(edge_gradients, g.n_edges, 3), keep=bool(keep))
        return 0
    except BaseException:
        put_failure(message)
        return 1
    finally:
        exchange.graph = NULL


cdef Exchange lent(object engine, const uq_graph *g):
    """The exchange of the graph whose derivatives an engine has kept, for one more call."""
    cdef Exchange exchange = engine.exchange
    if exchange is None:
        raise RuntimeError("no derivatives were kept")
    exchange.graph = g
    return exchange


cdef int member_gradients(void *engine, const uq_graph *g, int first, int n, double *gradients, char *message) noexcept with gil:
    cdef Exchange exchange = None
    try:
        obj = <object> <PyObject *> engine
        exchange = lent(obj, g)
        obj.member_gradients(first, doubles(gradients, n * g.n_edges, 3).reshape(n, g.n_edges, 3))
        return 0
    except BaseException:
        put_failure(message)
        return 1
    finally:
        if exchange is not None:
            exchange.graph = NULL


cdef int descriptor_gradients(void *engine, const uq_graph *g, int function, const double *of, double *value, double *gradients,
                              char *message) noexcept with gil:
    cdef Exchange exchange = None
    try:
        obj = <object> <PyObject *> engine
        exchange = lent(obj, g)
        out = doubles(gradients, g.n_edges, 3)
        if function == UQ_OF_CORRECTION:
            obj.correction_gradients(out)
        elif function == UQ_OF_GRADES:
            obj.grade_gradients(doubles(of, g.n_local, 1)[:, 0], out)
        else:
            value[0] = obj.std_gradients(doubles(of, obj.n_features, 1)[:, 0], out)
        return 0
    except BaseException:
        put_failure(message)
        return 1
    finally:
        if exchange is not None:
            exchange.graph = NULL


cdef int energy_gradients(void *engine, const uq_graph *g, int member, int n_sets, const double *weights, double *gradients,
                          char *message) noexcept with gil:
    cdef Exchange exchange = None
    cdef int k
    try:
        obj = <object> <PyObject *> engine
        exchange = lent(obj, g)
        for k in range(n_sets):
            exchange.begin(k)
            obj.energy_gradients(doubles(weights + k * g.n_local, g.n_local, 1)[:, 0],
                                 doubles(gradients + 3 * k * g.n_edges, g.n_edges, 3), None if member < 0 else member)
        return 0
    except BaseException:
        put_failure(message)
        return 1
    finally:
        if exchange is not None:
            exchange.graph = NULL


cdef object column_of(const double *data, int n):
    return doubles(data, n, 1)[:, 0] if data != NULL else None


cdef int per_atom(void *engine, int field, int n_local, const uq_force_variables *variables, double threshold, double *column,
                  char *message) noexcept with gil:
    try:
        from lmp_uq.run.engine import FIELDS
        given = {}
        if variables != NULL:
            given = {"force_norm": column_of(variables.force_norm, n_local), "neighbours": column_of(variables.neighbour_grade, n_local),
                     "correction": column_of(variables.correction_norm, n_local), "threshold": threshold}
        doubles(column, n_local, 1)[:, 0] = (<object> <PyObject *> engine).per_atom(FIELDS[field], **given)
        return 0
    except BaseException:
        put_failure(message)
        return 1


cdef int feature_sum(void *engine, double *total, char *message) noexcept with gil:
    try:
        obj = <object> <PyObject *> engine
        doubles(total, obj.n_features, 1)[:, 0] = obj.feature_sum()
        return 0
    except BaseException:
        put_failure(message)
        return 1


cdef int feature_sum_of(void *engine, const uq_graph *g, double *total, char *message) noexcept with gil:
    cdef Exchange exchange = Exchange.__new__(Exchange)
    try:
        obj = <object> <PyObject *> engine
        doubles(total, obj.n_features, 1)[:, 0] = obj.feature_sum_of(graph_of(g, exchange))
        return 0
    except BaseException:
        put_failure(message)
        return 1
    finally:
        exchange.graph = NULL


cdef int totals(void *engine, const double *total, double energy, double *std_lower_upper, char *message) noexcept with gil:
    try:
        obj = <object> <PyObject *> engine
        doubles(std_lower_upper, 3, 1)[:, 0] = obj.totals(doubles(total, obj.n_features, 1)[:, 0], energy)
        return 0
    except BaseException:
        put_failure(message)
        return 1


cdef int member_energies(void *engine, const double *total, double energy, double *energies, char *message) noexcept with gil:
    try:
        obj = <object> <PyObject *> engine
        doubles(energies, obj.n_members, 1)[:, 0] = obj.member_energies(column_of(total, obj.n_features), energy)
        return 0
    except BaseException:
        put_failure(message)
        return 1


cdef int memory_usage(void *engine, double *n_bytes, char *message) noexcept with gil:
    try:
        n_bytes[0] = (<object> <PyObject *> engine).memory_usage()
        return 0
    except BaseException:
        put_failure(message)
        return 1


cdef void destroy(void *engine) noexcept with gil:
    try:
        Py_DECREF(<object> <PyObject *> engine)
    except BaseException:
        pass


def register(uintptr_t address):
    """Fill the plugin's table of functions (called by the plugin itself)."""
    cdef uq_bridge *table = <uq_bridge *> address
    table.load = load
    table.evaluate = evaluate
    table.member_gradients = member_gradients
    table.descriptor_gradients = descriptor_gradients
    table.energy_gradients = energy_gradients
    table.per_atom = per_atom
    table.feature_sum = feature_sum
    table.feature_sum_of = feature_sum_of
    table.totals = totals
    table.member_energies = member_energies
    table.memory_usage = memory_usage
    table.destroy = destroy
    table.version = UQ_BRIDGE_VERSION
