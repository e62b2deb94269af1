// What rank 0 has to do at the commit of a checkpoint, for as many ranks as nobody has at hand: the texts that ranks
// send it are made up (right sizes, digests of nothing), what it makes of them is the real code (docs/scaling-out.md).
//
//   checkpoint_scale FOLDER RANKS...      the 250M model of configs/bench/gpu-250m.yaml, data parallel with ZeRO-1
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "checkpoint/commit.h"
#include "core/error.h"
#include "model/model.h"
#include "params/partition.h"

namespace nexus {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

ModelConfig bench_model() {
  ModelConfig config;
  config.counts["M"] = 1024;
  config.counts["A"] = 1280;
  config.validate();
  return config;
}

// What a rank would say of its shard.
std::string text_of_rank(const ParamTable& table, int rank, int64_t& slices) {
  ShardRecord shard;
  shard.file = {fmt::format("shard-{:04}.h5", rank), 0, std::string(32, '0')};
  for (const ParamPiece& piece : pieces_of(table, rank)) {
    const ParamSpec& spec = table[piece.param];
    for (const char* part : {"master/", "moment1/", "moment2/"}) {
      TensorRecord& tensor = shard.tensors[part + spec.name];
      tensor.dtype = DType::kF32;
      tensor.shape = spec.shape();
      tensor.slices.push_back({shard.file.name, piece.box, std::string(32, '0')});
      shard.file.size_bytes += piece.box.count() * 4;
      ++slices;
    }
  }
  if (shard.tensors.empty()) return "";
  return shard_to_text(shard);
}

void measure(const std::string& folder, int ranks) {
  const Model model(bench_model(), Sharding{0, 1, 0, ranks, true, false});
  std::vector<std::string> texts;
  int64_t slices = 0, bytes = 0, files = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    texts.push_back(text_of_rank(model.table(), rank, slices));
    bytes += static_cast<int64_t>(texts.back().size());
    files += !texts.back().empty();
  }
  const RunFolder run{folder};
  const CheckpointId id{"scale", "s0", ranks};
  const std::string temporary = make_temporary_folder(run, id, /*generation=*/0);
  const auto begin = Clock::now();
  std::string outcome = "ok";
  try {
    commit_folder(run, id, temporary, texts, {{"tokens", 0}}, {});
  } catch (const Error& error) {
    outcome = error.what();
  }
  std::printf("ranks %d files %lld slices %lld texts %.2f MB rank 0 %.2f s %s\n", ranks,
              static_cast<long long>(files + 2), static_cast<long long>(slices), static_cast<double>(bytes) / 1e6,
              seconds_since(begin), outcome.c_str());
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: checkpoint_scale FOLDER RANKS...\n");
    return 2;
  }
  for (int i = 2; i < argc; ++i) nexus::measure(argv[1], std::atoi(argv[i]));
  return 0;
}
