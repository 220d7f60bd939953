// SPDX-License-Identifier: GPL-2.0-or-later
// What an average needs of the compute that knows a posterior: the features Phi of the whole system, of which the energy of a member differs
// by dTheta.Phi from that of the potential that runs, and the closed forms of the posterior. compute uq and compute uq/linear have it.
#ifndef LMP_UQ_TOTAL_FEATURES_H
#define LMP_UQ_TOTAL_FEATURES_H

#include <string>

namespace lmp_uq {

class TotalFeatures {
 public:
  virtual int n_features() const = 0;     // P, bias columns included
  virtual int n_members() const = 0;      // K of the bounds
  virtual std::string model() const = 0;  // file and hash, for headers and restarts
  virtual bool has_readout() const { return false; }    // in the file, beside the posterior of Theta that all of this is about

  // Ends with an error that names who asks where a file lacks a posterior, or virial_rows() cannot be given. Before a run is set up.
  virtual void require_features(const char *who, bool virial) = 0;

  // Of the present step, summed over all atoms of all ranks; collective.
  virtual void total_features(double *sum) = 0;                // (P)
  virtual void virial_rows(bool trace, double *rows) = 0;      // (6, P) -dPhi/dstrain, xx yy zz xy xz yz, or (P) xx + yy + zz

  // Of value + x.dTheta for a row x (P): std about the value, K-member bounds; and x.dTheta of each of the K members.
  virtual void bars(const double *row, double value, double std_lower_upper[3]) = 0;
  virtual void member_shifts(const double *row, double *shifts) = 0;

 protected:
  ~TotalFeatures() noexcept(false) {}    // not owned through this interface; as LAMMPS' Compute
};

}    // namespace lmp_uq
#endif
