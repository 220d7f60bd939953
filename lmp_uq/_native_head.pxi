# SPDX-License-Identifier: GPL-2.0-or-later
# Part of _native.pyx: the posterior head, descriptors in and bars out.

cdef extern from "formulas/bars.h" namespace "lmp_uq":
    cdef struct EnergyBar "lmp_uq::EnergyBar":
        double factor
    double c_energy_bar "lmp_uq::energy_bar" (const EnergyBar &, double, double, double)
    cdef struct ForceColumns "lmp_uq::ForceColumns":
        const double *force
        const double *grade
        const double *neighbours
        const double *correction
    cdef cppclass ForceFormula "lmp_uq::ForceFormula":
        ForceFormula()

cdef extern from "head/head_matrices.h" namespace "lmp_uq":
    cdef struct head_view "lmp_uq_head_matrices":
        pass
    cdef cppclass HeadMatrices:
        head_view view() const

cdef extern from "head/posterior.h" namespace "lmp_uq":
    cdef cppclass PosteriorOptions:
        PosteriorOptions()
        int n_members, n_force_members
        cbool conservative, learned
        string name
    cdef cppclass CPosterior "lmp_uq::Posterior":
        CPosterior(const ModelFile &, const vector[int] &, const PosteriorOptions &) except +raise_uq_error
        cbool has_box() const
        cbool has_grade() const
        cbool has_force_error() const
        cbool has_level(double) const
        cbool has_quantiles() const
        const EnergyBar &energy_error() const
        cbool uses_correction() const
        const double *mean_correction() const
        double stress_factor() const
        int n_descriptors() const
        int n_features() const
        int n_members() const
        int n_force_members() const
        const double *force_member(int) const
        vector[int] unknown_elements() const
        HeadMatrices matrices() const
        ForceFormula bar_formula(double) except +raise_uq_error
        ForceFormula above_formula(double) except +raise_uq_error
        void use_threads(int)
        void energy_bars(size_t, const double *, const int64_t *, const double *, double *, double *, double *) except +raise_uq_error
        void grades(size_t, const double *, const int64_t *, double *) except +raise_uq_error
        void force_errors(size_t, const double *, const int64_t *, const ForceColumns &, double, double *) except +raise_uq_error
        void errors_above(size_t, const int64_t *, const ForceColumns &, double, double *) except +raise_uq_error
        const vector[double] &thresholds() const
        void reliabilities(size_t, const double *, const int64_t *, const ForceColumns &, double, double *) except +raise_uq_error
        void feature_sum(size_t, const double *, const int64_t *, double *) except +raise_uq_error
        void totals(const double *, double, double *) except +raise_uq_error
        void member_energies(const double *, double, double *) except +raise_uq_error

cdef extern from "head/box.h" namespace "lmp_uq":
    double c_normal_score "lmp_uq::normal_score" (double)


def normal_score(double tail):
    """z with a share `tail` of a normal distribution above it, 0 < tail <= 1/2."""
    return c_normal_score(tail)


cdef class NativePosterior:
    """The posterior head of the native engine, fed with descriptors; see csrc/head/posterior.h.

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
        options.conservative, options.learned, options.name = conservative, learned, os.fsencode(path)
        try:
            file = new_model_file(os.fsencode(path))
            self.head = new CPosterior(dereference(file), elements, options)
            self.head.use_threads(threads)
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
        return self.head.energy_error().factor, self.head.stress_factor()

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
        self.head.energy_bars(len(d) - 1, &d[0, 0], &s[0], &e[0], &out[0, 0], &out[1, 0], &out[2, 0])
        return np.asarray(out)[:, : len(d) - 1]

    def grades(self, descriptors, species):
        """(n,) array."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[::1] out = np.empty(len(d))
        self.head.grades(len(d) - 1, &d[0, 0], &s[0], &out[0])
        return np.asarray(out)[: len(d) - 1]

    @property
    def has_quantiles(self):
        """Whether there are probabilities of errors above a threshold."""
        return self.head.has_quantiles()

    def mean_correction(self):
        """(P,) array, where force_error uses the mean correction; else None."""
        if not self.head.uses_correction():
            return None
        return np.array([self.head.mean_correction()[p] for p in range(self.head.n_descriptors())])

    def force_errors(self, descriptors, species, variables, double level):
        """(n,) array, eV/Angstrom; variables: a `lmp_uq.calibration.variables.ForceVariables`."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[:, ::1] v = self.columns(variables, len(d))
        cdef ForceColumns given = self.pointers(v)
        cdef double[::1] out = np.empty(len(d))
        self.head.force_errors(len(d) - 1, &d[0, 0], &s[0], given, level, &out[0])
        return np.asarray(out)[: len(d) - 1]

    def errors_above(self, species, variables, double threshold):
        """(n,) array of probabilities that the force error exceeds a threshold, eV/Angstrom."""
        cdef Py_ssize_t length = len(species) + 1
        cdef int64_t[::1] s = self.column(species, np.int64, length)
        cdef double[:, ::1] v = self.columns(variables, length)
        cdef ForceColumns given = self.pointers(v)
        cdef double[::1] out = np.empty(length)
        self.head.errors_above(length - 1, &s[0], given, threshold, &out[0])
        return np.asarray(out)[: length - 1]

    @property
    def thresholds(self):
        """Of the ordinal head, eV/Angstrom; empty where the file has none."""
        return tuple(self.head.thresholds())

    def reliabilities(self, descriptors, species, variables, threshold=None):
        """(n,) array of probabilities that the force error is at most a threshold of the ordinal head, eV/Angstrom; None: the one in the middle."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[:, ::1] v = self.columns(variables, len(d))
        cdef ForceColumns given = self.pointers(v)
        cdef double[::1] out = np.empty(len(d))
        self.head.reliabilities(len(d) - 1, &d[0, 0], &s[0], given, 0.0 if threshold is None else threshold, &out[0])
        return np.asarray(out)[: len(d) - 1]

    def feature_sum(self, descriptors, species):
        """(n_features,) array."""
        cdef double[:, ::1] d = self.rows(descriptors)
        cdef int64_t[::1] s = self.column(species, np.int64, len(d))
        cdef double[::1] out = np.empty(self.head.n_features() + 1)
        self.head.feature_sum(len(d) - 1, &d[0, 0], &s[0], &out[0])
        return np.asarray(out)[: self.head.n_features()]

    def totals(self, feature_sum, double energy):
        """(3,) array: std, lower, upper in eV."""
        cdef double[::1] total = self.column(feature_sum, np.float64, self.head.n_features() + 1)
        cdef double[::1] out = np.empty(3)
        self.head.totals(&total[0], energy, &out[0])
        return np.asarray(out)

    def energy_error(self, double std, double mean_grade, double n_atoms):
        """Calibrated bar of a total energy, eV."""
        return c_energy_bar(self.head.energy_error(), std, mean_grade, n_atoms)

    def member_energies(self, feature_sum, double energy):
        """(n_members,) array, eV."""
        cdef double[::1] total = self.column(feature_sum, np.float64, self.head.n_features() + 1)
        cdef double[::1] out = np.empty(self.head.n_members() + 1)
        self.head.member_energies(&total[0], energy, &out[0])
        return np.asarray(out)[: self.head.n_members()]

    # one row more than there are atoms: an array without numbers has no address
    cdef rows(self, descriptors):
        descriptors = np.asarray(descriptors, dtype=np.float64)
        if descriptors.ndim != 2 or descriptors.shape[1] != self.head.n_descriptors():
            raise UqError(f"descriptors have shape {descriptors.shape}; accepted: (n, {self.head.n_descriptors()})")
        return np.ascontiguousarray(np.vstack([descriptors, np.zeros((1, self.head.n_descriptors()))]))

    cdef columns(self, variables, Py_ssize_t length):
        return np.array([self.column(values, np.float64, length) for values in variables.columns().values() if values is not None])

    cdef ForceColumns pointers(self, double[:, ::1] v):
        cdef ForceColumns out
        out.force, out.grade, out.neighbours = &v[0, 0], &v[1, 0], &v[2, 0]
        out.correction = &v[3, 0] if v.shape[0] > 3 else NULL
        return out

    cdef column(self, values, dtype, Py_ssize_t length):
        values = np.asarray(values, dtype=dtype)
        if values.shape != (length - 1,):
            raise UqError(f"found an array of shape {values.shape}; accepted: ({length - 1},)")
        return np.append(values, np.zeros(1, dtype=dtype))
