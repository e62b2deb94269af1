#include "comm/process_grid.h"

#include "core/host.h"
#include "core/log.h"

namespace nexus {
namespace {

std::string divisors_of(int ranks) {
  std::string list;
  for (int divisor = 1; divisor <= ranks; ++divisor)
    if (ranks % divisor == 0) list += fmt::format("{}{}", list.empty() ? "" : ", ", divisor);
  return list;
}

void refuse_nonsense(int dp, int tp) {
  if (tp < 1)
    throw Error(ErrorKind::kConfig, fmt::format("tp is {}", tp), "parallel.tp", "set parallel.tp to 1 or more");
  if (dp < 0)
    throw Error(ErrorKind::kConfig, fmt::format("dp is {}", dp), "parallel.dp", "set parallel.dp to auto or 1 or more");
}

void refuse_misfit(int dp, int tp, int ranks) {
  const bool divides = ranks % tp == 0;
  if (dp == 0 && !divides) {
    const int below = ranks / tp * tp;
    throw Error(ErrorKind::kConfig, fmt::format("tp {} does not divide the {} ranks that were started", tp, ranks),
                "parallel.tp",
                fmt::format("start {}{} ranks, or set parallel.tp to one of {}",
                            below > 0 ? fmt::format("{} or ", below) : "", below + tp, divisors_of(ranks)));
  }
  const int64_t needed = int64_t{dp} * tp;
  if (dp == 0 || needed == ranks) return;
  const std::string reason = divides ? "" : fmt::format(" (which tp {} does not divide)", tp);
  throw Error(ErrorKind::kConfig,
              fmt::format("dp {} x tp {} needs {} ranks, but {} were started{}", dp, tp, needed, ranks, reason),
              "parallel.dp", fmt::format("start {} ranks{}", needed, divides ? ", or set parallel.dp to auto" : ""));
}

}  // namespace

std::string spanning_group(const std::vector<std::string>& hosts, int tp) {
  for (size_t first = 0; first + static_cast<size_t>(tp) <= hosts.size(); first += static_cast<size_t>(tp))
    for (size_t r = first + 1; r < first + static_cast<size_t>(tp); ++r)
      if (hosts[r] != hosts[first])
        return fmt::format("ranks {} to {} run on {} and {}", first, first + static_cast<size_t>(tp) - 1, hosts[first],
                           hosts[r]);
  return "";
}

ProcessGrid::ProcessGrid(std::unique_ptr<Communicator> world, int dp, int tp) : world_(std::move(world)) {
  const int rank = world_->rank(), ranks = world_->size();
  refuse_nonsense(dp, tp);
  refuse_misfit(dp, tp, ranks);
  dp_ = world_->split(rank % tp, rank / tp, "dp");
  tp_ = world_->split(rank / tp, rank % tp, "tp");
  if (tp == 1) return;
  const std::string group = spanning_group(world_->all_gather_text(host_name()), tp);
  if (!group.empty() && rank == 0)
    warn(
        "tensor parallelism across nodes is slow: {}; set parallel.tp to a divisor of the ranks on a node, or start "
        "neighbouring ranks on one node (mpirun --map-by slot, srun --distribution=block)",
        group);
}

}  // namespace nexus
