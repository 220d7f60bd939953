# SPDX-License-Identifier: GPL-2.0-or-later
# Part of _native.pyx: the posterior head of an engine on a device.

cdef class DeviceHead:
    """The posterior head where the descriptors of an engine on a device lie; see csrc/mace/engine.h. Its sums have no bias columns.

    Parameters
    ----------
    engine : Engine
        On a device.
    posterior : NativePosterior
        Whose matrices are copied; kept.

    Raises
    ------
    UqError
        An engine on the CPU, or another number of descriptors.
    """
    cdef unique_ptr[CppHead] head
    cdef Engine engine
    cdef NativePosterior posterior

    def __init__(self, Engine engine not None, NativePosterior posterior not None):
        cdef HeadMatrices matrices = posterior.head.matrices()
        self.engine, self.posterior = engine, posterior
        self.head = engine.engine.get().make_head(matrices.view())
        if self.head.get() == NULL:
            raise UqError("the head of an engine on the CPU is NativePosterior")

    @property
    def n_bytes(self):
        """Memory of matrices and work space."""
        return self.head.get().n_bytes()

    def energy_bars(self, State state not None):
        """(3, n_local) array: std, lower, upper in eV."""
        cdef double[:, ::1] out = np.empty((3, state.n_local + 1))
        with nogil:
            self.head.get().energy_bars(state.state.get()[0], &out[0, 0], &out[1, 0], &out[2, 0])
        return np.asarray(out)[:, : state.n_local]

    def grades(self, State state not None):
        """(n_local,) array."""
        cdef double[::1] out = np.empty(state.n_local + 1)
        with nogil:
            self.head.get().grades(state.state.get()[0], &out[0])
        return np.asarray(out)[: state.n_local]

    def feature_sum(self, State state not None):
        """(n_features,) array."""
        cdef double[::1] out = np.empty(self.engine.n_features)
        with nogil:
            self.head.get().feature_sum(state.state.get()[0], &out[0])
        return np.asarray(out)

    def neighbour_means(self, State state not None, values):
        """(n_local,) means of each atom's and its neighbours' values (n_nodes,)."""
        cdef double[::1] given = self.posterior.column(values, np.float64, state.n_nodes + 1)
        cdef double[::1] out = np.empty(state.n_local + 1)
        with nogil:
            self.head.get().neighbour_means(state.state.get()[0], &given[0], &out[0])
        return np.asarray(out)[: state.n_local]

    def member_std(self, forces):
        """(4, n) array: std of |dF|, x, y and z over the members, of their forces (n, n_members, 3) less those of the model."""
        cdef double[::1] given = np.append(np.ravel(np.asarray(forces, dtype=np.float64)), 0.0)
        cdef Py_ssize_t n = len(forces)
        cdef int n_members = np.shape(forces)[1]
        cdef double[::1] out = np.empty(4 * n + 1)
        with nogil:
            self.head.get().member_std(n, n_members, &given[0], &out[0])
        return np.asarray(out)[: 4 * n].reshape(4, n)

    def force_errors(self, variables, double level):
        """(n,) array, eV/Angstrom, without the learned quantile; variables: a `lmp_uq.calibration.variables.ForceVariables`."""
        return self.force_values(variables, self.posterior.head.bar_formula(level))

    def errors_above(self, variables, double threshold):
        """(n,) array of probabilities that the force error exceeds a threshold, eV/Angstrom."""
        return self.force_values(variables, self.posterior.head.above_formula(threshold))

    cdef force_values(self, variables, const ForceFormula &formula):
        cdef Py_ssize_t length = len(variables.force) + 1
        cdef double[:, ::1] v = self.posterior.columns(variables, length)
        cdef ForceColumns given = self.posterior.pointers(v)
        cdef double[::1] out = np.empty(length)
        self.head.get().force_values(length - 1, given, formula, &out[0])
        return np.asarray(out)[: length - 1]
