// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/text.h"
#include "file/rules.h"
#include "linear/snap_descriptors.h"

#include <algorithm>

namespace lmp_uq::rules {

const std::vector<std::string> PAIR_STYLES = {
    "adp", "airebo", "airebo/morse", "beck", "born", "born/coul/dsf", "born/coul/wolf", "born/gauss", "buck", "buck/coul/cut", "buck/mdf",
    "coul/cut", "coul/debye", "coul/dsf", "coul/slater/cut", "coul/streitz", "coul/wolf", "dispersion/d3", "eam", "eam/alloy", "eam/cd",
    "eam/fs", "eam/he", "edip", "edip/multi", "eim", "extep", "gauss", "gauss/cut", "gw", "gw/zbl", "harmonic/cut", "lcbop",
    "lennard/mdf", "lj/cubic", "lj/cut", "lj/cut/coul/cut", "lj/cut/coul/debye", "lj/cut/coul/dsf", "lj/cut/coul/wolf", "lj/expand",
    "lj/gromacs", "lj/mdf", "lj/smooth", "lj/smooth/linear", "lj96/cut", "meam", "meam/ms", "meam/spline", "meam/sw/spline", "mie/cut",
    "morse", "morse/smooth/linear", "nb3b/harmonic", "nb3b/screened", "nm/cut", "pedone", "polymorphic", "rebo", "rebomos", "snap",
    "soft", "sw", "sw/mod", "table", "tersoff", "tersoff/mod", "tersoff/mod/c", "tersoff/table", "tersoff/zbl", "threebody/table", "uf3",
    "vashishta", "vashishta/table", "wf/cut", "yukawa", "zbl"};

namespace {

constexpr std::size_t LONGEST_NAME = 100;    // of a file

const std::string LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool is_whole(const Json &value, int most)
{
  return value.is_integer() && value.digits()[0] != '-' && !less_digits(std::to_string(most), value.digits());
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

bool are_reference_texts(const Json &texts, const Json &)
{
  const auto is_reference = [](const Json &text) { return text.is_string() && is_of(text.string(), " _./*+-"); };
  return texts.is_array() && std::all_of(texts.array().begin(), texts.array().end(), is_reference);
}

bool is_reference_style(const Json &text, const Json &)
{
  return std::find(PAIR_STYLES.begin(), PAIR_STYLES.end(), first_word(text.string())) != PAIR_STYLES.end();
}

// the name of a compute that gives numbers of atoms, as LAMMPS names them, and words without a path, with one space between them
bool is_compute(const Json &text, const Json &)
{
  if (!text.is_string()) return false;
  const std::string &words = text.string(), end = "/atom";
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

bool are_files(const Json &files, const Json &)
{
  if (!files.is_object()) return false;
  const auto is_name = [](const std::string &name) { return is_of(name, "_.+-") && name[0] != '.' && name.size() <= LONGEST_NAME; };
  return std::all_of(files.keys().begin(), files.keys().end(), is_name) &&
      std::all_of(files.values().begin(), files.values().end(), [](const Json &text) { return text.is_string(); });
}

bool are_numbers_of_elements(const Json &values, const Json &header)
{
  return are_numbers(values) && values.array().size() == header.at("elements").array().size();
}

}    // namespace

const Rule TWOJMAX = {"a whole number from 0 to " + std::to_string(SnapDescriptors::MAX_TWOJMAX),
                      [](const Json &value, const Json &) { return is_whole(value, SnapDescriptors::MAX_TWOJMAX); }};
const Rule FLAG = {"0 or 1", [](const Json &value, const Json &) { return is_whole(value, 1); }};
const Rule NUMBERS_OF_ELEMENTS = {"a list of one number for each element", are_numbers_of_elements};
const Rule REFERENCE_TEXTS = {"a list of texts of letters, digits, spaces and _./*+-", are_reference_texts};
const Rule REFERENCE_STYLE = {"a text that begins with one of the pair styles " + joined(PAIR_STYLES, ", "), is_reference_style};
const Rule COMPUTE = {"a compute style that ends in /atom and its words, of letters, digits and _.*+-, or \"\"", is_compute};
const Rule COMPUTE_OR_NOTHING = {COMPUTE.accepted, [](const Json &text, const Json &header) {
                                   return (text.is_string() && text.string().empty()) || is_compute(text, header);
                                 }};
const Rule FILES = {"an object of plain file names and texts", are_files};
const Rule PAIR = {"the name of a pair style, or an empty text", [](const Json &pair, const Json &) {
                     return pair.is_string() && (pair.string().empty() || is_of(pair.string(), "_/"));
                   }};

}    // namespace lmp_uq::rules
