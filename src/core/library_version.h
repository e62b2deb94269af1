// A library as the compiler saw its headers and as the running program has loaded it: the two may differ on clusters,
// where modules are swapped between building and running.
#pragma once

#include <string>

namespace nexus {

struct LibraryVersion {
  std::string name;              // "HDF5"
  std::string compiled, loaded;  // "1.10.8"; `loaded` is empty where the library does not tell
};

}  // namespace nexus
