// SPDX-License-Identifier: GPL-2.0-or-later
#include "output_file.h"

#include "lammps/comm.h"
#include "lammps/error.h"
#include "lammps/lammps.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr char STANDARD_OUTPUT[] = "-";
constexpr int MESSAGE_LENGTH = 1024;

bool write_all(int file, const std::string &text)
{
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = write(file, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

// some file systems have nothing to flush
bool flushed(int file) { return fsync(file) == 0 || errno == EINVAL || errno == ENOTSUP; }

// at the end of a file, which is as it was where that fails (then errno says why)
bool append_whole(const std::string &path, const std::string &block)
{
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return false;
  struct stat before;
  bool good = fstat(file, &before) == 0;
  if (good && !(write_all(file, block) && flushed(file))) {
    const int problem = errno;
    good = false;
    errno = ftruncate(file, before.st_size) == 0 ? problem : errno;
  }
  const int problem = errno;
  const bool closed = close(file) == 0;
  if (!good) errno = problem;
  return good && closed;
}

// /dev/stdout that leads to a file shares its place with what else is written there: opened anew it would begin at the start
int own_stream(const struct stat &found)
{
  struct stat mine;
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
    if (fstat(stream, &mine) == 0 && mine.st_dev == found.st_dev && mine.st_ino == found.st_ino) return dup(stream);
  return -1;
}

std::string folder_of(const std::string &path)
{
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}    // namespace

lmp_uq::OutputFile::~OutputFile()
{
  if (stream >= 0) ::close(stream);
}

void lmp_uq::OutputFile::open(const std::string &name, bool append, Check check)
{
  path = name;
  fail_together(lmp->comm->me == 0 ? prepare(append, check) : "");
}

void lmp_uq::OutputFile::add(const std::string &block) { fail_together(lmp->comm->me == 0 ? write(block) : ""); }

std::string lmp_uq::OutputFile::prepare(bool append, Check check)
{
  const auto refused = [&] { return "cannot write " + path + ": " + strerror(errno); };
  struct stat found;
  if (path == STANDARD_OUTPUT) {
    stream = dup(STDOUT_FILENO);
    return stream < 0 ? refused() : "";
  }
  if (stat(path.c_str(), &found) != 0) return errno == ENOENT && access(folder_of(path).c_str(), W_OK | X_OK) == 0 ? "" : refused();
  if (S_ISDIR(found.st_mode)) return path + " is a folder; accepted: the name of a file to write";
  if ((stream = own_stream(found)) >= 0) return "";
  if (!S_ISREG(found.st_mode)) {
    stream = ::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    return stream < 0 ? refused() : "";
  }
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | (append ? 0 : O_TRUNC));
  if (file < 0) return refused();
  ::close(file);
  return append && check ? check(path) : "";
}

std::string lmp_uq::OutputFile::write(const std::string &block)
{
  fflush(stdout);    // LAMMPS' own lines of before
  const bool good = stream >= 0 ? write_all(stream, block) : append_whole(path, block);
  return good ? "" : "cannot write " + path + ": " + strerror(errno);
}

void lmp_uq::OutputFile::fail_together(const std::string &problem)
{
  char text[MESSAGE_LENGTH] = "";
  strncpy(text, problem.c_str(), sizeof(text) - 1);
  MPI_Bcast(text, sizeof(text), MPI_CHAR, 0, lmp->world);
  if (text[0]) lmp->error->all(FLERR, "{}: {}", who, text);
}

// A process that was killed while it wrote leaves half a frame; what is added behind it would be read as its atoms.
std::string lmp_uq::broken_frames(const std::string &name)
{
  std::ifstream file(name);
  std::string line;
  for (long long whole = 0; std::getline(file, line); whole = file.tellg()) {
    char *end = nullptr;
    const long long n_atoms = strtoll(line.c_str(), &end, 10);
    const bool number = end != line.c_str() && n_atoms >= 0 && line.find_first_not_of(" \t\r", end - line.c_str()) == std::string::npos;
    long long left = number ? n_atoms + 1 : 1;    // the comment and the atoms
    while (left > 0 && std::getline(file, line)) left--;
    if (!number || left > 0 || file.eof())
      return name + " does not consist of whole frames, up to byte " + std::to_string(whole) +
          " it does; accepted: such a file, as one cut off there, or append no";
  }
  return "";
}
