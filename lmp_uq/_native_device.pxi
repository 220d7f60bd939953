# SPDX-License-Identifier: GPL-2.0-or-later
# Part of _native.pyx: which device runs.

cdef extern from "mace/device_library.h" namespace "lmp_uq":
    cdef struct DeviceChoice "lmp_uq::DeviceChoice":
        int number, n_devices
        string remark
    DeviceChoice c_choose_device "lmp_uq::choose_device" (const string &, int) except +raise_uq_error
    string c_double_precision_remark "lmp_uq::double_precision_remark" (int) except +raise_uq_error
    vector[string] c_device_report "lmp_uq::device_report" () except +raise_uq_error


def choose_device(word, int local_rank=0):
    """Number of the CUDA device that a word means (auto, cpu, cuda or cuda:N), None for the CPU, and why auto took the CPU."""
    cdef DeviceChoice found = c_choose_device(os.fsencode(word), local_rank)
    return found.number if found.number >= 0 else None, os.fsdecode(found.remark)


def double_precision_remark(int device):
    """A sentence for who asks for float64 on a device that has few units for it, or nothing."""
    return os.fsdecode(c_double_precision_remark(device))


def device_report():
    """Lines on CUDA kernels, driver and devices."""
    return [os.fsdecode(line) for line in c_device_report()]
