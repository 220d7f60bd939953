// SPDX-License-Identifier: GPL-2.0-or-later
#include "pair_mace_uq.h"

#include "pair_mace_uq_impl.h"

#include "lammps/atom.h"
#include "lammps/citeme.h"
#include "lammps/comm.h"
#include "lammps/domain.h"
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
using lmp_uq::StepClock;

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

PairMaceUq::PairMaceUq(LAMMPS *lmp) : Pair(lmp), impl(std::make_unique<Impl>(lmp))
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
  if (impl->setting_up && !update->setupflag) impl->clock.reset();    // tables are made with the first forces: no time of the run
  impl->setting_up = update->setupflag;
  guarded([&] {
    build_graph();
    evaluate();
    const auto watch = impl->clock.watch(StepClock::EDGES);
    impl->graph.forces(impl->edge_gradients.data(), impl->forces);
    check_finite();
    add_forces();
    tally();
    impl->volume = domain->xprd * domain->yprd * (domain->dimension == 3 ? domain->zprd : 1.0);
    impl->configuration.take();
  });
}

void PairMaceUq::build_graph()
{
  const auto watch = impl->clock.watch(StepClock::EDGES);
  static const double no_position[3] = {};
  static const int no_type[1] = {};
  const bool any = atom->nlocal + atom->nghost > 0;
  impl->exclusions.update(lmp, *list, impl->species_of_type);
  const lmp_uq::Graph::Atoms atoms = {atom->nlocal, atom->nghost, any ? atom->x[0] : no_position, any ? atom->type : no_type,
                                      impl->species_of_type.data(), impl->exclusions.excluded()};
  const int64_t bad = impl->graph.build(*list, atoms, impl->info.cutoff);
  const int lost = impl->graph.first_lost(atoms);
  if (lost >= 0) fail_here(fmt::format("the position of atom {} is not a finite number", atom->tag[lost]));
  if (bad >= 0)
    fail_here(fmt::format("atoms {} and {} are at the same position", atom->tag[impl->graph.centres()[bad]],
                          atom->tag[impl->graph.neighbours()[bad]]));
}

void PairMaceUq::evaluate()
{
  const auto watch = impl->clock.watch(StepClock::MODEL);
  impl->energies.resize(impl->graph.n_local() + 1);    // never empty: a rank without atoms still hands a pointer over
  impl->edge_gradients.resize(3 * impl->graph.n_edges() + 3);
  const bool keep = impl->derivatives_wanted || impl->derivatives_observed;
  guarded([&] { impl->evaluator->evaluate(graph_view(), keep, impl->energies.data(), impl->edge_gradients.data()); });
  impl->has_derivatives = keep;
}

uq_graph PairMaceUq::graph_view()
{
  const auto &graph = impl->graph;
  uq_graph view = {};
  view.n_local = graph.n_local();
  view.n_ghost = graph.n_nodes() - graph.n_local();
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

