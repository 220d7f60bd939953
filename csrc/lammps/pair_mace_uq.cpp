// SPDX-License-Identifier: GPL-2.0-or-later
#include "pair_mace_uq.h"

#include "pair_mace_uq_impl.h"

#include "lammps/atom.h"
#include "lammps/citeme.h"
#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/memory.h"
#include "lammps/neigh_list.h"
#include "lammps/neighbor.h"
#include "lammps/update.h"
#include "lammps/utils.h"

#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

static const char CITATION[] =
    "pair mace/uq: MACE: doi:10.48550/arXiv.2206.07697; POPS regression: doi:10.1088/2632-2153/ad9fce,\n"
    "doi:10.1038/s41524-025-01758-4\n\n"
    "@inproceedings{Batatia2022mace,\n"
    "  title={{MACE}: Higher Order Equivariant Message Passing Neural Networks for Fast and Accurate Force Fields},\n"
    "  author={Batatia, Ilyes and Kovacs, David P. and Simm, Gregor and Ortner, Christoph and Csanyi, Gabor},\n"
    "  booktitle={Advances in Neural Information Processing Systems}, volume={35}, year={2022}\n}\n\n"
    "@article{Swinburne2025,\n"
    "  title={Parameter uncertainties for imperfect surrogate models in the low-noise regime},\n"
    "  author={Swinburne, Thomas D. and Perez, Danny},\n"
    "  journal={Machine Learning: Science and Technology}, volume={6}, pages={015008}, year={2025}\n}\n\n"
    "@article{Perez2025,\n"
    "  title={Uncertainty quantification for misspecified machine learned interatomic potentials},\n"
    "  author={Perez, Danny and Subramanyam, Aparna P. A. and Maliyov, Ivan and Swinburne, Thomas D.},\n"
    "  journal={npj Computational Materials}, volume={11}, pages={263}, year={2025}\n}\n\n";

PairMaceUq::PairMaceUq(LAMMPS *lmp) : Pair(lmp), impl(std::make_unique<Impl>())
{
  restartinfo = 1;
  one_coeff = 1;
  manybody_flag = 1;
  single_enable = 0;
  no_virial_fdotr_compute = 1;    // the virial comes from the edges: right inside hybrid too, where atom->f holds other styles' forces
  centroidstressflag = CENTROID_NOTAVAIL;
  comm_forward = comm_reverse = Impl::CHUNK;
  if (lmp->citeme) lmp->citeme->add(CITATION);
}

PairMaceUq::~PairMaceUq()
{
  if (copymode) return;
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }
}

void PairMaceUq::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  impl->forget();
  build_graph();
  evaluate();
  impl->graph.forces(impl->edge_gradients.data(), impl->forces);
  check_finite();
  add_forces();
  tally();
  impl->step = update->ntimestep;
}

void PairMaceUq::build_graph()
{
  static const double no_position[3] = {};
  static const int no_type[1] = {};
  const bool any = atom->nlocal + atom->nghost > 0;
  const lmp_uq::Graph::Atoms atoms = {atom->nlocal, atom->nghost, any ? atom->x[0] : no_position, any ? atom->type : no_type,
                                      impl->species_of_type.data()};
  const int64_t bad = impl->graph.build(*list, atoms, impl->info.cutoff);
  if (bad >= 0)
    fail_here(fmt::format("atoms {} and {} are at the same position", atom->tag[impl->graph.centres()[bad]],
                          atom->tag[impl->graph.neighbours()[bad]]));
}

void PairMaceUq::evaluate()
{
  impl->energies.resize(atom->nlocal + 1);    // never empty: a rank without atoms still hands a pointer over
  impl->edge_gradients.resize(3 * impl->graph.n_edges() + 3);
  const bool keep = impl->derivatives_wanted || impl->derivatives_observed;
  guarded([&] { impl->evaluator->evaluate(graph_view(), keep, impl->energies.data(), impl->edge_gradients.data()); });
  impl->has_derivatives = keep;
}

uq_graph PairMaceUq::graph_view()
{
  const auto &graph = impl->graph;
  uq_graph view = {};
  view.n_local = atom->nlocal;
  view.n_ghost = atom->nghost;
  view.species = graph.species();
  view.n_edges = graph.n_edges();
  view.centres = graph.centres();
  view.neighbours = graph.neighbours();
  view.vectors = graph.vectors();
  view.context = this;
  view.forward = forward_callback;
  view.reverse = reverse_callback;
  view.forward_rows = forward_rows_callback;
  view.reverse_rows = reverse_rows_callback;
  return view;
}

void PairMaceUq::check_finite()
{
  for (int i = 0; i < atom->nlocal; i++)
    if (!std::isfinite(impl->energies[i])) fail_here(fmt::format("the energy of atom {} is not a finite number", atom->tag[i]));
  for (int i = 0; i < impl->graph.n_nodes(); i++)
    for (int k = 0; k < 3; k++)
      if (!std::isfinite(impl->forces[3 * i + k])) fail_here(fmt::format("the force on atom {} is not a finite number", atom->tag[i]));
}

void PairMaceUq::add_forces()
{
  if (impl->graph.n_nodes() == 0) return;
  double *f = atom->f[0];
  for (std::size_t k = 0; k < impl->forces.size(); k++) f[k] += impl->forces[k];
}

void PairMaceUq::tally()
{
  impl->local_energy = 0.0;
  for (int i = 0; i < atom->nlocal; i++) {
    if (!impl->graph.takes_part(i)) continue;
    impl->local_energy += impl->energies[i];
    if (eflag_atom) eatom[i] += impl->energies[i];
  }
  if (eflag_global) eng_vdwl += impl->local_energy;
  if (vflag_either)
    impl->graph.virial(impl->edge_gradients.data(), vflag_global ? virial : nullptr, vflag_atom ? vatom : nullptr);
}

/* ---- what the computes and fixes ask -------------------------------------------------------------------------------------- */

void PairMaceUq::current_or_error()
{
  if (impl->step != update->ntimestep)
    error->all(FLERR, "Pair style mace/uq: uncertainty was asked for on step {}, but forces were last computed on step {}",
               update->ntimestep, impl->step);
}

void PairMaceUq::compute_force_norm()
{
  auto &norm = impl->force_norm;
  if (impl->has_force_norm) return;
  exchange(impl->forces.data(), 3, false);    // this style's own force: parts on ghosts go home, other styles' forces stay out
  if (impl->pending) std::rethrow_exception(impl->pending);
  norm.resize(atom->nlocal + 1);
  for (int i = 0; i < atom->nlocal; i++) {
    const double *f = impl->forces.data() + 3 * static_cast<std::size_t>(i);
    norm[i] = std::sqrt(f[0] * f[0] + f[1] * f[1] + f[2] * f[2]);
  }
  impl->has_force_norm = true;
}

const double *PairMaceUq::field(int index)
{
  current_or_error();
  auto &column = impl->columns[index];
  if (impl->evaluated[index]) return column.data();
  if (lmp_uq::needs_pulls(index)) {
    force_bars();
    return column.data();
  }
  if (lmp_uq::needs_force_norm(index)) compute_force_norm();
  column.resize(atom->nmax + 1);
  guarded([&] { impl->evaluator->per_atom(index, atom->nlocal, impl->force_norm.data(), column.data()); });
  for (int i = 0; i < atom->nlocal; i++) {
    if (!impl->graph.takes_part(i)) column[i] = 0.0;
    if (std::isnan(column[i])) fail_here(fmt::format("{} of atom {} is not a number", lmp_uq::FIELDS[index].name, atom->tag[i]));
  }
  impl->evaluated[index] = true;
  return column.data();
}

void PairMaceUq::totals(double std_lower_upper[3])
{
  current_or_error();
  std::vector<double> sum;
  const double total = sum_features(sum);
  guarded([&] { impl->evaluator->totals(sum.data(), total, std_lower_upper); });
}

// features summed over all atoms; returns the total energy
double PairMaceUq::sum_features(std::vector<double> &sum)
{
  std::vector<double> mine(impl->info.n_features, 0.0);
  sum.assign(impl->info.n_features, 0.0);
  guarded([&] { impl->evaluator->feature_sum(mine.data()); });
  MPI_Allreduce(mine.data(), sum.data(), impl->info.n_features, MPI_DOUBLE, MPI_SUM, world);
  return energy();
}

double PairMaceUq::energy() const
{
  double total = 0.0;
  MPI_Allreduce(&impl->local_energy, &total, 1, MPI_DOUBLE, MPI_SUM, world);
  return total;
}

const double *PairMaceUq::model_forces()
{
  current_or_error();
  compute_force_norm();    // for it, parts on ghosts have gone home
  return impl->forces.data();
}

std::string PairMaceUq::element(int type) const { return impl->element_of_type[type]; }

bool PairMaceUq::takes_part(int type) const { return impl->species_of_type[type] >= 0; }

void PairMaceUq::require_field(int index, const char *who)
{
  if (!impl->evaluator) error->all(FLERR, "{} must come after the pair_coeff command of pair style mace/uq", who);
  if (!impl->info.available[index])
    error->all(FLERR, "{}: field {} needs {}, which {} does not hold (see lmp-uq inspect; lmp-uq fit writes it)", who,
               lmp_uq::quantity(index).name, lmp_uq::quantity(index).needs, impl->file);
  if (lmp_uq::needs_pulls(index)) impl->derivatives_wanted = true;
}

bool PairMaceUq::has_field(int index) const { return impl->info.available[index]; }

PairMaceUq *PairMaceUq::find(LAMMPS *lmp, const char *who)
{
  auto pair = dynamic_cast<PairMaceUq *>(lmp->force->pair_match("mace/uq", 1));
  if (!pair) lmp->error->all(FLERR, "{} needs pair style mace/uq (exactly one), defined before it", who);
  return pair;
}

void *PairMaceUq::extract(const char *name, int &dim)
{
  dim = 0;
  if (strcmp(name, "cut") == 0) return &impl->info.cutoff;
  for (int index = 0; index < UQ_N_FIELDS; index++)
    if (std::string(name) == std::string(lmp_uq::FIELDS[index].name) + "_flag") return &impl->flags[index];
  return nullptr;
}

// fix pair calls this after the forces of its steps, and once when it is defined. A field is evaluated when it is first asked for on a step,
// so fix pair's flag has nothing to do; but fix pair does not come back at the set-up of a run, so who asks for a dear field is remembered.
void *PairMaceUq::extract_peratom(const char *name, int &n_columns)
{
  const int index = lmp_uq::find_field(name);
  if (index < 0) return nullptr;
  require_field(index, "fix pair");
  n_columns = 0;
  const bool dear = lmp_uq::needs_pulls(index);
  if (dear) impl->derivatives_observed = true;
  if (impl->step == update->ntimestep && (impl->has_derivatives || !dear)) return const_cast<double *>(field(index));
  impl->columns[index].resize(atom->nmax + 1);
  return impl->columns[index].data();
}
