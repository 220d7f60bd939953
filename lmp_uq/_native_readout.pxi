# SPDX-License-Identifier: GPL-2.0-or-later
# Part of _native.pyx: the P-readout of the native engine, descriptors in, energies and their slopes out.

cdef extern from "head/p_readout.h" namespace "lmp_uq":
    cdef cppclass CReadout "lmp_uq::PReadout":
        @staticmethod
        unique_ptr[CReadout] of(const ModelFile &) except +raise_uq_error
        int n_descriptors() const
        void use_threads(int)
        void slopes(size_t, const double *, int, int, double *) except +raise_uq_error
        void energies(size_t, const double *, int, double *) except +raise_uq_error


cdef class NativeReadout:
    """The P-readout of a model file; see csrc/head/p_readout.h and `lmp_uq.posterior.p_readout.PReadout`.

    Raises
    ------
    UqError
        What the reader refuses; a file without P-readout.
    """
    cdef unique_ptr[CReadout] readout

    def __cinit__(self, path, *, int threads=1):
        cdef ModelFile *file = NULL
        try:
            file = new_model_file(os.fsencode(path))
            self.readout = CReadout.of(dereference(file))
        finally:
            del file
        if self.readout.get() == NULL:
            raise UqError(f"{path} holds no P-readout")
        self.readout.get().use_threads(threads)

    def slopes(self, descriptors, int first, int n_members):
        """(n_members, n, P) array."""
        cdef double[:, ::1] d = np.vstack([descriptors, np.zeros((1, self.readout.get().n_descriptors()))])
        cdef size_t n = len(d) - 1
        cdef double[::1] out = np.empty(n_members * n * d.shape[1] + 1)
        self.readout.get().slopes(n, &d[0, 0], first, n_members, &out[0])
        return np.asarray(out)[:-1].reshape(n_members, n, d.shape[1])

    def energies(self, descriptors, int n_members):
        """(n_members,) array summed over the atoms, eV."""
        cdef double[:, ::1] d = np.vstack([descriptors, np.zeros((1, self.readout.get().n_descriptors()))])
        cdef double[::1] out = np.empty(n_members + 1)
        self.readout.get().energies(len(d) - 1, &d[0, 0], n_members, &out[0])
        return np.asarray(out)[:-1]
