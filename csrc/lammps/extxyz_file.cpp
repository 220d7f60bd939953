// SPDX-License-Identifier: GPL-2.0-or-later
#include "extxyz_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>
#include <vector>

namespace {

bool copy_content(const std::string &from, FILE *to)
{
  FILE *source = fopen(from.c_str(), "rb");
  if (!source) return errno == ENOENT;    // first frame
  std::vector<char> block(1 << 20);
  bool good = true;
  for (std::size_t n; good && (n = fread(block.data(), 1, block.size(), source)) > 0;) good = fwrite(block.data(), 1, n, to) == n;
  good = good && !ferror(source);
  fclose(source);
  return good;
}

}    // namespace

std::string lmp_uq::append_whole(const std::string &file, const std::string &frame)
{
  const std::string temporary = file + ".part";
  FILE *out = fopen(temporary.c_str(), "wb");
  if (!out) return "cannot write " + temporary + ": " + strerror(errno);
  bool good = copy_content(file, out);
  good = good && fwrite(frame.data(), 1, frame.size(), out) == frame.size();
  good = fflush(out) == 0 && fsync(fileno(out)) == 0 && good;
  int problem = errno;
  good = fclose(out) == 0 && good;
  if (good && rename(temporary.c_str(), file.c_str()) == 0) return "";
  if (good) problem = errno;
  remove(temporary.c_str());
  return "cannot write " + file + ": " + strerror(problem);
}
