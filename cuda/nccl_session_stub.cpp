// A build without NCCL: nothing gets past the constructor.
#include "cuda/nccl_session.h"

namespace nexus::cuda {

std::string nccl_description() {
  return "no NCCL";
}

std::vector<LibraryVersion> nccl_libraries() {
  return {};
}

class NcclSession::Impl {};

NcclSession::NcclSession(Queue&) {
  throw Error(ErrorKind::kConfig, "several ranks on GPUs need NCCL, which is not in this build of nexus",
              "--device cuda", "install NCCL's library and header and build again, or start one rank");
}
NcclSession::~NcclSession() = default;
int NcclSession::connect(Communicator&, const progress::Operation&) {
  return 0;
}
void NcclSession::disconnect(int, const progress::Operation&) noexcept {}
std::function<void()> NcclSession::start(int, Collective, const void*, void*, int64_t, DType,
                                         const progress::Operation&) {
  return {};
}
void NcclSession::hold_if_leaving() {}

}  // namespace nexus::cuda
