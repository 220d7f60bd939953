// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_OUTPUT_FILE_H
#define LMP_UQ_OUTPUT_FILE_H

#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

// What a fix writes block by block, on rank 0. A regular file has each block whole or not at all, at a cost that does not depend on the blocks
// before it; devices, pipes and standard output ("-") are written through. All calls are collective and end with one error on all ranks.
class OutputFile {
 public:
  using Check = std::string (*)(const std::string &name);    // what speaks against adding to a file, or nothing

  OutputFile(LAMMPS_NS::LAMMPS *lmp, const char *who) : lmp(lmp), who(who) {}
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  // When the fix is defined: a regular file is emptied, or kept by append; its mode, owner and links stay. Nothing is made before the first block.
  void open(const std::string &name, bool append, Check check = nullptr);
  void add(const std::string &block);    // the block of rank 0 counts
  const std::string &name() const { return path; }

 private:
  LAMMPS_NS::LAMMPS *lmp;
  const char *who;
  std::string path;
  int stream = -1;    // of what is no regular file: kept open, since the reader of a pipe takes a close as the end

  std::string prepare(bool append, Check check);
  std::string write(const std::string &block);
  void fail_together(const std::string &problem);
};

// Why frames cannot be added to an extended XYZ file: it does not consist of whole frames
std::string broken_frames(const std::string &name);

}    // namespace lmp_uq
#endif
