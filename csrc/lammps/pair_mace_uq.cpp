// SPDX-License-Identifier: GPL-2.0-or-later
#include "pair_mace_uq.h"

#include "field_words.h"
#include "force_computation.h"
#include "launcher_check.h"
#include "restart_text.h"
#include "setup_warnings.h"
#include "step_values.h"

#include "lammps/atom.h"
#include "lammps/citeme.h"
#include "lammps/comm.h"
#include "lammps/compute.h"
#include "lammps/error.h"
#include "lammps/force.h"
#include "lammps/memory.h"
#include "lammps/modify.h"
#include "lammps/neighbor.h"
#include "lammps/timer.h"
#include "lammps/update.h"

#include <cstring>
#include <set>
#include <string>
#include <vector>

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

struct PairMaceUq::Impl {
  Impl(LAMMPS *lmp, PairMaceUq &pair) : last(lmp, pair, model) {}

  lmp_uq::Settings settings;
  lmp_uq::LoadedModel model;
  lmp_uq::ForceComputation last;
  std::set<std::string> warned;     // each warning is said once
  double cutoff_copy = 0.0;         // for extract(): what is handed out may be written to
  int flags[UQ_N_FIELDS] = {};      // fix pair's <field>_flag
};

PairMaceUq::PairMaceUq(LAMMPS *lmp) : Pair(lmp), impl(std::make_unique<Impl>(lmp, *this))
{
  restartinfo = 1;
  one_coeff = 1;
  manybody_flag = 1;
  single_enable = 0;
  no_virial_fdotr_compute = 1;    // the virial comes from the edges: right inside hybrid too, where atom->f holds other styles' forces
  centroidstressflag = CENTROID_NOTAVAIL;
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

/* ---- a step ---------------------------------------------------------------------------------------------------------------- */

void PairMaceUq::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  impl->last.guarded([&] {
    impl->last.compute(*list, {vflag_global != 0, vflag_atom != 0});
    const auto watch = impl->last.clock().watch(StepClock::EDGES);
    add_forces();
    tally();
  });
}

void PairMaceUq::add_forces()
{
  const auto &nodes = impl->last.graph().nodes();
  const double *forces = impl->last.forces().data();
  for (int k = 0; k < nodes.n(); k++)
    for (int a = 0; a < 3; a++) atom->f[nodes.atom(k)][a] += forces[3 * k + a];
}

void PairMaceUq::tally()
{
  const auto &graph = impl->last.graph();
  if (eflag_atom)
    for (int i = 0; i < graph.n_local(); i++) eatom[graph.nodes().atom(i)] += impl->last.energies()[i];
  if (eflag_global) eng_vdwl += impl->last.local_energy();
  for (int k = 0; k < 6 && vflag_global; k++) virial[k] += impl->last.virial()[k];
  if (vflag_atom) graph.virials_of_atoms(impl->last.edge_gradients().data(), vatom);
}

int PairMaceUq::pack_forward_comm(int n, int *atoms, double *out, int, int *) { return impl->last.ghosts().pack_forward(n, atoms, out); }
void PairMaceUq::unpack_forward_comm(int n, int first, double *in) { impl->last.ghosts().unpack_forward(n, first, in); }

int PairMaceUq::pack_reverse_comm(int n, int first, double *out) { return impl->last.ghosts().pack_reverse(n, first, out); }

void PairMaceUq::unpack_reverse_comm(int n, int *atoms, double *in) { impl->last.ghosts().unpack_reverse(n, atoms, in); }

/* ---- input commands -------------------------------------------------------------------------------------------------------- */

void PairMaceUq::check_host()
{
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "Pair style mace/uq needs units metal (eV, Angstrom, ps), found units {}", update->unit_style);
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const std::string mismatch = lmp_uq::launcher_mismatch(size);
  if (!mismatch.empty()) error->all(FLERR, "Pair style mace/uq: {}", mismatch);
}

// A second pair_style command comes here too. What the first one loaded was made with other keywords: pair_coeff has to follow again.
void PairMaceUq::settings(int narg, char **arg)
{
  check_host();
  const lmp_uq::Settings said = lmp_uq::Settings::of_words(narg, arg, lmp);
  unload();
  impl->settings = said;
}

void PairMaceUq::unload()
{
  impl->last.forget_model();
  impl->model = {};
}

void PairMaceUq::coeff(int narg, char **arg)
{
  if (narg < 3 || strcmp(arg[0], "*") != 0 || strcmp(arg[1], "*") != 0)
    error->all(FLERR, "Pair style mace/uq accepts only: pair_coeff * * file.uq element-of-type-1 element-of-type-2 ...");
  if (narg != 3 + atom->ntypes)
    error->all(FLERR, "Pair style mace/uq: pair_coeff names {} elements, the system has {} atom types: one element (or NULL) per type",
               narg - 3, atom->ntypes);
  load(arg[2], arg + 3);
}

void PairMaceUq::allocate()
{
  if (allocated) return;
  memory->create(setflag, atom->ntypes + 1, atom->ntypes + 1, "pair:setflag");
  memory->create(cutsq, atom->ntypes + 1, atom->ntypes + 1, "pair:cutsq");
  allocated = 1;
}

// a second pair_coeff comes here too and replaces the first as a whole
void PairMaceUq::load(const std::string &file, char **elements)
{
  allocate();
  unload();
  auto &model = impl->model;
  model.name_types(atom->ntypes, elements);
  for (int i = 1; i <= atom->ntypes; i++)
    for (int j = 1; j <= atom->ntypes; j++) setflag[i][j] = model.species_of_type[i] >= 0 && model.species_of_type[j] >= 0;
  const lmp_uq::NodePlace place = lmp_uq::place_in_node(world);
  impl->settings.local_rank = place.rank, impl->settings.ranks_of_node = place.n_ranks;
  model.load(lmp, impl->settings, file);
}

void PairMaceUq::init_style()
{
  if (force->newton_pair == 0) error->all(FLERR, "Pair style mace/uq needs newton pair on, found newton pair off");
  if (atom->tag_enable == 0) error->all(FLERR, "Pair style mace/uq needs atom IDs, found atom_modify id no");
  evaluator_or_error();
  const bool excluded = force->special_lj[1] == 0.0 || force->special_lj[2] == 0.0 || force->special_lj[3] == 0.0;
  if (atom->molecular != 0 && excluded)
    error->all(FLERR, "Pair style mace/uq needs special_bonds lj/coul 1 1 1: zero weights drop bonded neighbours from the list");
  for (const auto &text : lmp_uq::setup_warnings(lmp, impl->model.element_of_type, impl->settings.threads))
    if (impl->warned.insert(text).second && comm->me == 0) error->warning(FLERR, "Pair style mace/uq: {}", text);
  neighbor->add_request(this, NeighConst::REQ_FULL);
  impl->last.init();
}

double PairMaceUq::init_one(int, int) { return impl->model.info.cutoff; }

void PairMaceUq::finish()
{
  impl->last.settle();
  for (Compute *compute : modify->get_compute_list())
    if (auto values = dynamic_cast<lmp_uq::StepValues *>(compute)) values->forget();
  const bool shares_out_work = impl->model.evaluator && impl->model.evaluator->shares_out_work();
  const std::string times = impl->last.clock().summary(world, shares_out_work);
  impl->last.clock().reset();    // also where the next run skips its set-up
  if (comm->me == 0 && update->nsteps != 0 && timer->has_normal() && !times.empty()) utils::logmesg(lmp, "mace/uq: {}\n", times);
}

void PairMaceUq::evaluator_or_error()
{
  if (!impl->model.evaluator)
    error->all(FLERR, "Pair style mace/uq: all pair coeffs are not set: pair_coeff * * file.uq elements must follow pair_style");
}

/* ---- restart: keywords, file name and its hash ------------------------------------------------------------------------------- */

void PairMaceUq::write_restart_settings(FILE *fp) { impl->settings.write(fp); }

void PairMaceUq::read_restart_settings(FILE *fp)
{
  check_host();
  unload();
  impl->settings = lmp_uq::Settings::read(fp, lmp);
}

// LAMMPS sets the pair style up before it writes, so a model is loaded
void PairMaceUq::write_restart(FILE *fp)
{
  write_restart_settings(fp);
  lmp_uq::write_text(fp, impl->model.file);
  lmp_uq::write_text(fp, impl->model.info.sha256);
  for (int type = 1; type <= atom->ntypes; type++) lmp_uq::write_text(fp, impl->model.element_of_type[type]);
}

void PairMaceUq::read_restart(FILE *fp)
{
  read_restart_settings(fp);
  const std::string file = lmp_uq::read_text(fp, lmp), sha256 = lmp_uq::read_text(fp, lmp);
  std::vector<std::string> elements;
  std::vector<char *> names;
  for (int type = 1; type <= atom->ntypes; type++) elements.push_back(lmp_uq::read_text(fp, lmp));
  for (auto &element : elements) names.push_back(&element[0]);
  load(file, names.data());
  if (sha256 != impl->model.info.sha256)
    error->all(FLERR, "Pair style mace/uq: {} has changed since the restart file was written (sha256 {} then, {} now)", file, sha256,
               impl->model.info.sha256);
}

/* ---- for LAMMPS, computes and fixes ------------------------------------------------------------------------------------------ */

lmp_uq::ForceComputation &PairMaceUq::last() { return impl->last; }

const lmp_uq::LoadedModel &PairMaceUq::model() const { return impl->model; }

void PairMaceUq::require_field(const lmp_uq::Field &field, const char *who)
{
  impl->model.require(lmp, field, who);
  if (impl->model.passes(field.index) > 0) impl->last.keep_derivatives();
}

void PairMaceUq::row_bars(const double *row, double value, double std_lower_upper[3])
{
  evaluator_or_error();
  impl->last.guarded([&] { impl->model.evaluator->totals(row, value, std_lower_upper); });
}

void PairMaceUq::member_shifts(const double *row, double *shifts)
{
  evaluator_or_error();
  impl->last.guarded([&] { impl->model.evaluator->member_energies(row, 0.0, shifts); });
}

void *PairMaceUq::extract(const char *name, int &dim)
{
  dim = 0;
  if (strcmp(name, "cut") == 0) {
    impl->cutoff_copy = impl->model.info.cutoff;
    return &impl->cutoff_copy;
  }
  const std::string word = name, end = "_flag";
  if (word.size() <= end.size() || word.compare(word.size() - end.size(), end.size(), end) != 0) return nullptr;
  const int index = lmp_uq::field_of_fix_pair(lmp, word.substr(0, word.size() - end.size())).index;
  return index < 0 ? nullptr : &impl->flags[index];
}

void *PairMaceUq::extract_peratom(const char *name, int &n_columns)
{
  const lmp_uq::Field field = lmp_uq::field_of_fix_pair(lmp, name);
  if (field.index < 0) return nullptr;
  require_field(field, "fix pair");
  n_columns = 0;
  return impl->last.observed(field);
}

double PairMaceUq::memory_usage()
{
  double total = Pair::memory_usage() + static_cast<double>(impl->last.n_bytes());
  if (impl->model.evaluator) impl->last.guarded([&] { total += impl->model.evaluator->memory_usage(); });
  return total;
}
