// SPDX-License-Identifier: GPL-2.0-or-later
#include "file/model_check.h"
#include "file/model_check_rules.h"
#include "linear/snap_descriptors.h"

#include <algorithm>

namespace lmp_uq {
namespace {

const char *const PARAMETERS[] = {"rcutfac",  "twojmax",   "rfac0",        "rmin0",          "switchflag", "bzeroflag", "quadraticflag",
                                  "chemflag", "bnormflag", "wselfallflag", "switchinnerflag"};
const std::vector<std::string> PAIR_STYLES = {    // as lmp_uq.backbone.linear.reference
    "adp", "airebo", "airebo/morse", "beck", "born", "born/coul/dsf", "born/coul/wolf", "born/gauss", "buck", "buck/coul/cut", "buck/mdf",
    "coul/cut", "coul/debye", "coul/dsf", "coul/slater/cut", "coul/streitz", "coul/wolf", "dispersion/d3", "eam", "eam/alloy", "eam/cd",
    "eam/fs", "eam/he", "edip", "edip/multi", "eim", "extep", "gauss", "gauss/cut", "gw", "gw/zbl", "harmonic/cut", "lcbop",
    "lennard/mdf", "lj/cubic", "lj/cut", "lj/cut/coul/cut", "lj/cut/coul/debye", "lj/cut/coul/dsf", "lj/cut/coul/wolf", "lj/expand",
    "lj/gromacs", "lj/mdf", "lj/smooth", "lj/smooth/linear", "lj96/cut", "meam", "meam/ms", "meam/spline", "meam/sw/spline", "mie/cut",
    "morse", "morse/smooth/linear", "nb3b/harmonic", "nb3b/screened", "nm/cut", "pedone", "polymorphic", "rebo", "rebomos", "snap",
    "soft", "sw", "sw/mod", "table", "tersoff", "tersoff/mod", "tersoff/mod/c", "tersoff/table", "tersoff/zbl", "threebody/table", "uf3",
    "vashishta", "vashishta/table", "wf/cut", "yukawa", "zbl"};
const std::string START = "backbone.architecture.";
const std::string COMPUTE_ACCEPTED = "a compute style that ends in /atom and its words, of letters, digits and _.*+-, or \"\"";

constexpr std::size_t LONGEST_NAME = 100;    // of a file

const std::string LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool ends_with_flag(const std::string &name) { return name.size() > 4 && name.compare(name.size() - 4, 4, "flag") == 0; }

bool is_whole(const Json *value, long most)
{
  return value && value->is_integer() && value->digits()[0] != '-' && !less_digits(std::to_string(most), value->digits());
}

bool is_of(const std::string &text, const std::string &more)
{
  return !text.empty() && text.find_first_not_of(LETTERS + more) == std::string::npos;
}

std::string first_word(const std::string &text)
{
  const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
  return text.substr(begin, text.find(' ', begin) - begin);
}

bool is_reference(const Json &text) { return text.is_string() && is_of(text.string(), " _./*+-"); }

// the name of a compute that gives numbers of atoms, as LAMMPS names them, and words without a path, with one space between them
bool is_compute(const Json *text)
{
  if (!text || !text->is_string()) return false;
  const std::string &words = text->string(), end = "/atom";
  std::size_t space = words.find(' ');
  const std::string style = words.substr(0, space);
  if (!is_of(style, "_/") || style.size() <= end.size() || style.compare(style.size() - end.size(), end.size(), end) != 0) return false;
  while (space != std::string::npos) {
    const std::size_t begin = space + 1;
    space = words.find(' ', begin);
    const std::string word = words.substr(begin, space == std::string::npos ? space : space - begin);
    if (word != "\"\"" && !is_of(word, "_.*+-")) return false;
  }
  return true;
}

bool are_files(const Json *files)
{
  if (!files || !files->is_object()) return false;
  const auto is_name = [](const std::string &name) { return is_of(name, "_.+-") && name[0] != '.' && name.size() <= LONGEST_NAME; };
  return std::all_of(files->keys().begin(), files->keys().end(), is_name) &&
      std::all_of(files->values().begin(), files->values().end(), [](const Json &text) { return text.is_string(); });
}

bool is_multiple(const std::string &digits, std::size_t n)
{
  std::size_t rest = 0;
  for (const char digit : digits) rest = (10 * rest + (digit - '0')) % n;
  return rest == 0;
}

void check_parameters(const Json &parameters, const std::string &where)
{
  const std::string most = std::to_string(SnapDescriptors::MAX_TWOJMAX);
  for (const std::string name : PARAMETERS) {
    const Json *value = parameters.find(name);
    const std::string key = START + "parameters." + name;
    if (name == "twojmax") {
      if (!is_whole(value, SnapDescriptors::MAX_TWOJMAX)) reject(where, key, value, "a whole number from 0 to " + most);
    } else if (ends_with_flag(name)) {
      if (!is_whole(value, 1)) reject(where, key, value, "0 or 1");
    } else if (!is_number(value)) {
      reject(where, key, value, "a number");
    }
  }
}

void check_lists(const Json &architecture, std::size_t n_elements, const std::string &where)
{
  std::vector<const char *> names = {"radii", "weights"};
  if (architecture.at("parameters").at("switchinnerflag").integer()) names.insert(names.end(), {"sinner", "dinner"});
  for (const std::string name : names) {
    const Json *values = architecture.find(name);
    if (!are_numbers(values) || values->array().size() != n_elements)
      reject(where, START + name, values, "a list of one number for each element");
  }
}

void check_reference(const Json *reference, const std::string &where)
{
  if (!reference || !reference->is_object()) reject(where, START + "reference", reference, "an object");
  for (const std::string name : {"styles", "coefficients"}) {
    const Json *texts = reference->find(name);
    if (!texts || !texts->is_array() || !std::all_of(texts->array().begin(), texts->array().end(), is_reference))
      reject(where, START + "reference." + name, texts, "a list of texts of letters, digits, spaces and _./*+-");
  }
  const std::vector<Json> &styles = reference->at("styles").array();
  for (std::size_t k = 0; k < styles.size(); k++)
    if (std::find(PAIR_STYLES.begin(), PAIR_STYLES.end(), first_word(styles[k].string())) == PAIR_STYLES.end())
      reject(where, START + "reference.styles[" + std::to_string(k) + "]", &styles[k],
             "a text that begins with one of the pair styles " + joined(PAIR_STYLES, ", "));
}

void check_snap(const Json &header, const std::string &where)
{
  const Json &backbone = header.at("backbone"), &architecture = backbone.at("architecture");
  const Json *parameters = architecture.find("parameters");
  const std::size_t n_elements = header.at("elements").array().size();
  if (!parameters || !parameters->is_object()) reject(where, START + "parameters", parameters, "an object");
  check_parameters(*parameters, where);
  check_lists(architecture, n_elements, where);
  check_reference(architecture.find("reference"), where);
  const std::string count = std::to_string(n_elements * SnapDescriptors(architecture, n_elements).n_descriptors());
  if (backbone.at("n_features").digits() != count)
    reject(where, "backbone.n_features", &backbone.at("n_features"), count + ", as the architecture gives");
}

void check_compute(const Json &header, const std::string &where)
{
  const Json &backbone = header.at("backbone"), &architecture = backbone.at("architecture");
  const Json *cutoff = architecture.find("cutoff"), *computes = architecture.find("computes"), *pair = architecture.find("pair");
  const Json *files = architecture.find("files");
  if (!is_number(cutoff) || cutoff->number() <= 0) reject(where, START + "cutoff", cutoff, "a positive number (Angstrom)");
  if (!computes || !computes->is_object()) reject(where, START + "computes", computes, "an object");
  for (const std::string role : {"descriptors", "gradient", "virial"}) {
    const Json *words = computes->find(role);
    const bool none = role != "descriptors" && words && words->is_string() && words->string().empty();
    if (!none && !is_compute(words)) reject(where, START + "computes." + role, words, COMPUTE_ACCEPTED);
  }
  if (!are_files(files)) reject(where, START + "files", files, "an object of plain file names and texts");
  const bool is_style = pair && pair->is_string() && (pair->string().empty() || is_of(pair->string(), "_/"));
  if (!is_style) reject(where, START + "pair", pair, "the name of a pair style, or an empty text");
  check_reference(architecture.find("reference"), where);
  const std::size_t n_elements = header.at("elements").array().size();
  if (!is_multiple(backbone.at("n_features").digits(), n_elements))
    reject(where, "backbone.n_features", &backbone.at("n_features"), "a multiple of " + std::to_string(n_elements) + ", the number of elements");
}

}    // namespace

void check_linear(const Json &header, const std::string &where)
{
  const Json &posterior = header.at("posterior");
  (header.at("backbone").at("family").string() == "snap" ? check_snap : check_compute)(header, where);
  if (!posterior.is_null() && posterior.at("bias").string() != "element")
    reject(where, "posterior.bias", &posterior.at("bias"), "element, as a linear potential has a constant for each element");
}

}    // namespace lmp_uq
