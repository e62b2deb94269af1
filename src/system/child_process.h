// A program that runs beside this one, such as one of several trainings.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

class ChildProcess {
 public:
  // Starts `arguments[0]`, looked up in PATH, in a process group of its own: the terminal's Ctrl-C is this process's to
  // pass on. It reads nothing, and what it prints is added to the file `log`. `variables` are laid upon the
  // environment. Should this process die, the program gets `signal_at_death`. Throws ErrorKind::kIo.
  ChildProcess(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& variables,
               const std::string& log, int signal_at_death);
  ~ChildProcess();  // kills and reaps what still runs
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Its exit code, 128 + n if signal n ended it, 127 if it could not be started; nothing while it runs.
  std::optional<int> poll();
  void send(int signal);  // nothing where it has ended

 private:
  pid_t pid_ = 0;  // 0: it has been waited for
  int code_ = 0;
};

}  // namespace nexus
