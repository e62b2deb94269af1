#include "train/checkpoint_io.h"

#include <set>

#include "comm/progress.h"
#include "params/replication.h"

namespace nexus {
namespace {

struct Part {
  const char* prefix;
  Tensor state;
};

std::vector<Part> parts_of(const ParamStore& params) {
  std::vector<Part> parts{{"master/", params.master()}};
  if (params.moment1().defined()) {
    parts.push_back({"moment1/", params.moment1()});
    parts.push_back({"moment2/", params.moment2()});
  }
  return parts;
}

void require_shape(const Checkpoint& checkpoint, const std::string& name, const ParamSpec& spec, DType dtype) {
  const Checkpoint::TensorInfo& info = checkpoint.info(name);
  if (info.shape == spec.shape() && info.dtype == dtype) return;
  throw Error(ErrorKind::kCheckpoint,
              fmt::format("{} is {} {} in the checkpoint and {} {} in the model", name, name_of(info.dtype),
                          info.shape.str(), name_of(dtype), spec.shape().str()),
              checkpoint.path(), "use the configuration that wrote it, or `nexus grow`");
}

// Nothing may be left over: a tensor without a place would be lost by the next save.
void require_no_more(const Checkpoint& checkpoint, const ParamStore& params) {
  std::set<std::string> expected;
  for (const Part& part : parts_of(params))
    for (const ParamSpec& spec : params.table()) expected.insert(part.prefix + spec.name);
  const bool with_moments = params.moment1().defined();
  for (const std::string& name : checkpoint.tensor_names())
    if (!expected.contains(name) && (with_moments || name.rfind("master/", 0) == 0))
      throw Error(ErrorKind::kCheckpoint, fmt::format("{} has no place in the model", name), checkpoint.path(),
                  "use the configuration that wrote it");
}

}  // namespace

std::unique_ptr<PendingSave> start_saving(ProcessGrid& grid, const RunFolder& run, const std::string& run_id,
                                          const ParamStore& params, const TrainState& state, bool pinned,
                                          int64_t generation) {
  check_replicas(grid, params, fmt::format("stage {} step {}", state.stage(), state.step));
  const int64_t element = size_of(params.wide_dtype());
  const std::vector<ParamPiece> pieces = owned_pieces(params.table());
  const std::vector<Part> parts = parts_of(params);
  int64_t count = 0;
  for (const ParamPiece& piece : pieces) count += piece.box.count();
  const auto snapshot = std::make_shared<Buffer>(host_buffer(count * element * static_cast<int64_t>(parts.size())));
  auto* to = static_cast<char*>(snapshot->data());
  std::vector<TensorSlice> slices;
  for (const Part& part : parts) {
    for (const ParamPiece& piece : pieces) {
      const ParamSpec& spec = params.table()[piece.param];
      const Tensor mine = part.state.flat(piece.state_offset, piece.box.count());
      params.backend().copy_out(to, mine);
      slices.push_back(
          {part.prefix + spec.name, params.wide_dtype(), spec.shape(), piece.box, to, /*must_be_finite=*/true});
      to += mine.size_bytes();
    }
  }
  nlohmann::json document = to_json(state);
  document["pinned"] = pinned;
  return std::make_unique<PendingSave>(grid.world(), run, CheckpointId{run_id, state.stage(), state.step},
                                       std::move(slices), std::move(document), snapshot, generation);
}

SaveResult save_training(ProcessGrid& grid, const RunFolder& run, const std::string& run_id, const ParamStore& params,
                         const TrainState& state, bool pinned) {
  return start_saving(grid, run, run_id, params, state, pinned)->commit();
}

void load_training(const Checkpoint& checkpoint, ParamStore& params) {
  const ParamTable& table = params.table();
  const DType dtype = params.wide_dtype();
  for (int index = 0; index < table.size(); ++index) {
    const ParamSpec& spec = table[index];
    const std::string name = "master/" + spec.name;
    require_shape(checkpoint, name, spec, dtype);
    const Buffer host = host_buffer(spec.local.count() * size_of(dtype));
    checkpoint.read(name, spec.local, host.data());
    params.set_weights(index, host.data());
    progress::tick();
  }
  for (const Part& part : parts_of(params)) {
    if (part.state.data == params.master().data) continue;
    for (const ParamPiece& piece : state_pieces(table)) {
      const ParamSpec& spec = table[piece.param];
      const std::string name = part.prefix + spec.name;
      require_shape(checkpoint, name, spec, dtype);
      const Buffer host = host_buffer(piece.box.count() * size_of(dtype));
      checkpoint.read(name, piece.box, host.data());
      params.backend().copy_in(part.state.flat(piece.state_offset, piece.box.count()), host.data());
      progress::tick();
    }
  }
  require_no_more(checkpoint, params);
}

}  // namespace nexus
