#include "train/checkpoint_io.h"

#include <algorithm>
#include <set>

#include "core/hash.h"

namespace nexus {
namespace {

struct Part {
  const char* prefix;
  Tensor flat;
};

std::vector<Part> parts_of(const ParamStore& params) {
  std::vector<Part> parts{{"master/", params.master()}};
  if (params.moment1().defined()) {
    parts.push_back({"moment1/", params.moment1()});
    parts.push_back({"moment2/", params.moment2()});
  }
  return parts;
}

// Rows of `spec` that rank `rank` of `size` writes.
std::pair<int64_t, int64_t> share_of(const ParamSpec& spec, int rank, int size) {
  const int64_t rows = spec.axes[0].extent;
  return {rows * rank / size, rows * (rank + 1) / size};
}

// Every rank updates its own copy, and each writes other rows: without this, ranks that drifted apart would be stitched
// into one checkpoint that verifies.
std::string digest_of(Backend& backend, const std::vector<Part>& parts) {
  constexpr int64_t kBlock = 1 << 22;
  Hasher hasher;
  Buffer host = host_buffer(kBlock * size_of(parts[0].flat.dtype));
  for (const Part& part : parts)
    for (int64_t begin = 0; begin < part.flat.count(); begin += kBlock) {
      const Tensor block = part.flat.flat(begin, std::min(kBlock, part.flat.count() - begin));
      backend.copy_out(host.data(), block);
      hasher.add(host.data(), static_cast<size_t>(block.size_bytes()));
    }
  return hasher.digest();
}

}  // namespace

SaveResult save_training(Communicator& dp, const RunFolder& run, const std::string& run_id, const ParamStore& params,
                         const TrainState& state, bool pinned) {
  const int64_t element = size_of(params.wide_dtype());
  int64_t bytes = 0;
  for (const ParamSpec& spec : params.table()) {
    const auto [begin, end] = share_of(spec, dp.rank(), dp.size());
    bytes += (end - begin) * (spec.count() / spec.axes[0].extent) * element;
  }
  const std::vector<Part> parts = parts_of(params);
  if (dp.size() > 1) dp.require_equal("weights and moments", digest_of(params.backend(), parts));
  const Buffer host = host_buffer(bytes * static_cast<int64_t>(parts.size()));
  std::vector<TensorSlice> slices;
  int64_t offset = 0;
  for (const Part& part : parts) {
    for (const ParamSpec& spec : params.table()) {
      const auto [begin, end] = share_of(spec, dp.rank(), dp.size());
      if (begin == end) continue;
      const int64_t row = spec.count() / spec.axes[0].extent;
      const Tensor mine = part.flat.flat(spec.offset + begin * row, (end - begin) * row);
      void* to = static_cast<char*>(host.data()) + offset;
      params.backend().copy_out(to, mine);
      offset += mine.size_bytes();
      slices.push_back({part.prefix + spec.name, params.wide_dtype(), spec.shape(), begin, end - begin, to});
    }
  }
  nlohmann::json document = to_json(state);
  document["pinned"] = pinned;
  return save_checkpoint(dp, run, {run_id, state.stage(), state.step}, slices, document);
}

void load_training(const Checkpoint& checkpoint, ParamStore& params) {
  std::set<std::string> expected{};
  for (const Part& part : parts_of(params)) {
    for (const ParamSpec& spec : params.table()) {
      const std::string name = part.prefix + spec.name;
      expected.insert(name);
      const Checkpoint::TensorInfo& info = checkpoint.info(name);
      if (!(info.shape == spec.shape()) || info.dtype != params.wide_dtype())
        throw Error(ErrorKind::kCheckpoint,
                    fmt::format("{} is {} {} in the checkpoint and {} {} in the model", name, name_of(info.dtype),
                                info.shape.str(), name_of(params.wide_dtype()), spec.shape().str()),
                    checkpoint.path(), "use the configuration that wrote it, or `nexus grow`");
      const Tensor to = part.flat.flat(spec.offset, spec.count());
      const Buffer host = host_buffer(to.size_bytes());
      checkpoint.read(name, 0, spec.axes[0].extent, host.data());
      params.backend().copy_in(to, host.data());
    }
  }
  const bool with_moments = params.moment1().defined();
  for (const std::string& name : checkpoint.tensor_names())
    if (!expected.contains(name) && (with_moments || name.rfind("master/", 0) == 0))
      throw Error(ErrorKind::kCheckpoint, fmt::format("{} has no place in the model", name), checkpoint.path(),
                  "use the configuration that wrote it");
  params.refresh_compute();
}

}  // namespace nexus
