#include "records/launch_end.h"

namespace nexus {

LaunchEnd end_of(const Error& error) {
  return {exit_code(error.kind()), name_of(error.kind()), error.suspect_node()};
}

LaunchEnd end_of_current_exception() {
  try {
    throw;
  } catch (const Error& error) {
    return end_of(error);
  } catch (...) {
    return {ExitCode::kBug, name_of(ErrorKind::kInternal), ""};
  }
}

}  // namespace nexus
