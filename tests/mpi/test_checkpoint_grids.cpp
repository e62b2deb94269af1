// Checkpoints and growth over grids: every grid of {1, 2, 4} x {1, 2} loads what any other saved, exactly; and a growth
// gives the same weights and moments on every grid.
#include <filesystem>

#include "campaign/grow_stage.h"
#include "core/hash.h"
#include "support/grid_rig.h"
#include "support/growth_batch.h"
#include "support/mpi_expect.h"
#include "train/checkpoint_io.h"

namespace nexus {
namespace {

using testing::GridOptions;
using testing::GridRig;

struct Shape2 {
  int dp, tp;
};
constexpr Shape2 kGrids[] = {{1, 1}, {2, 1}, {4, 1}, {1, 2}, {2, 2}, {4, 2}};

// Digest of all weights and moments as logical tensors; the same on every rank.
std::string digest_of(ProcessGrid& grid, const ParamStore& params) {
  Hasher hasher;
  for (const Tensor& state : {params.master(), params.moment1(), params.moment2()})
    for (int param = 0; param < params.table().size(); ++param) {
      const Buffer whole = gather_tensor(grid.world(), params, state, param);
      hasher.add(whole.data(), static_cast<size_t>(whole.size_bytes()));
    }
  return hasher.digest();
}

class Test {
 public:
  Test(std::unique_ptr<Communicator> world, const testing::NamedModel& model, const GridOptions& options)
      : world_(std::move(world)), model_(model), options_(options) {
    // mpirun gives all ranks one job; the folder's name must be one, too.
    folder_.root = world_->broadcast_text(
        (std::filesystem::temp_directory_path() / fmt::format("nexus-grids-{}", ::getpid())).string());
  }
  ~Test() {
    world_->barrier();
    std::error_code ignored;
    if (world_->rank() == 0) std::filesystem::remove_all(folder_.root, ignored);
  }

  void run() {
    for (size_t from = 0; from < std::size(kGrids); ++from) {
      save(kGrids[from], from % 2 == 0);
      for (size_t to = 0; to < std::size(kGrids); ++to) load(kGrids[to], (from + to) % 2 == 0);
      if (world_->rank() == 0) std::filesystem::remove_all(folder_.root);
      world_->barrier();
    }
  }

 private:
  // Calls `body(grid)` on the first dp * tp ranks and gives everybody rank 0's answer.
  template <typename Body>
  std::string on_grid(const Shape2& shape, const Body& body) {
    const bool inside = world_->rank() < shape.dp * shape.tp;
    std::unique_ptr<Communicator> part = world_->split(inside ? 0 : 1, world_->rank(), "world");
    std::string answer;
    if (inside) {
      ProcessGrid grid(std::move(part), shape.dp, shape.tp);
      answer = body(grid);
      grid.world().require_equal("the answer", answer);
    }
    return world_->broadcast_text(answer);
  }

  GridOptions options(bool zero) const {
    GridOptions changed = options_;
    changed.zero = zero;
    return changed;
  }

  TrainState state_of(const ModelConfig& config) const {
    TrainState state;
    state.model = config;
    state.step = 2;
    state.stages = {{"s"}};
    state.stage_numerics = {{}};
    state.generations = {first_generation(config)};
    return state;
  }

  void save(const Shape2& shape, bool zero) {
    saved_ = on_grid(shape, [&](ProcessGrid& grid) {
      GridRig rig(grid, model_.config, options(zero));
      for (int step = 0; step < 2; ++step) rig.step(1e-3);
      if (grid.rank() == 0) std::filesystem::create_directories(folder_.checkpoints());
      grid.world().barrier();
      path_ = save_training(grid, folder_, "run", rig.params(), state_of(rig.model().config())).path;
      const std::string digest = digest_of(grid, rig.params());
      next_loss_ = fmt::format("{:a}", rig.step(0).loss);
      return digest;
    });
    path_ = world_->broadcast_text(path_);
    next_loss_ = world_->broadcast_text(next_loss_);
  }

  void load(const Shape2& shape, bool zero) {
    const std::string loaded = on_grid(shape, [&](ProcessGrid& grid) {
      GridRig rig(grid, model_.config, options(zero));
      const Checkpoint checkpoint(path_);
      load_training(checkpoint, rig.params());
      check_replicas(grid, rig.params(), "after loading");
      const std::string digest = digest_of(grid, rig.params());
      expect_same_function(rig, shape);
      return digest;
    });
    MPI_EXPECT(loaded == saved_, fmt::format("{} {} loaded on dp {} tp {}: other values", model_.name,
                                             name_of(options_.dtype), shape.dp, shape.tp));
  }

  // The compute weights, too: the next loss, up to the order of sums (tests/mpi/test_grids.cpp).
  void expect_same_function(GridRig& rig, const Shape2& shape) {
    for (int step = 0; step < 2; ++step) rig.step(0);  // the same samples as the saving run has had
    load_training(Checkpoint(path_), rig.params());    // those steps have changed the moments
    const double loss = rig.step(0).loss, expected = std::strtod(next_loss_.c_str(), nullptr);
    const double tolerance = options_.dtype == DType::kBF16 ? 1e-2 : 2e-5;
    MPI_EXPECT(std::abs(loss - expected) <= tolerance * expected,
               fmt::format("{} on dp {} tp {}: loss {} after loading, {} before", model_.name, shape.dp, shape.tp, loss,
                           expected));
  }

  std::unique_ptr<Communicator> world_;
  testing::NamedModel model_;
  GridOptions options_;
  RunFolder folder_;
  std::string saved_, path_, next_loss_;
};

GrowthOptions growth_of(const ModelConfig& config, const std::string& init) {
  GrowthOptions growth;
  growth.policy = &growth_policy(init);
  growth.mask = !growth.policy->why_lossy(config).empty() && growth.policy->only_adds();
  if (config.arch == "tokenformer")
    growth.widths = {{"n_qkv", 52}, {"n_ffn", 60}};
  else
    growth.widths = {{"M", 36}, {"A", 48}};
  return growth;
}

struct Grown {
  std::string digest;
  GrowthCheck check;
};

Grown grow(ProcessGrid& grid, const testing::NamedModel& model, const GridOptions& options, const std::string& init) {
  Backend& backend = testing::device();
  const Sharding sharding = sharding_of(grid, options.zero, options.sequence);
  Trained before(model.config, backend, options.dtype, sharding);
  testing::draw_lively(before.params);
  backend.run(ops::Copy{before.params.master(), before.params.moment1()});  // values that can be recognised afterwards
  backend.run(ops::Copy{before.params.master(), before.params.moment2()});
  TrainState state;
  state.model = before.model.config();
  state.generations = {first_generation(before.model.config())};
  const GrowthOutcome outcome = grow_trained(grid, before, growth_of(state.model, init), 5,
                                             testing::growth_batch(state.model.count("V"), 12), 1e-3, state);
  check_replicas(grid, outcome.grown->params, "after growth");
  return {digest_of(grid, outcome.grown->params), *outcome.check};
}

// Those that draw, behind a mask or not, one of zeros, and those that copy, with a deviation measured in the old tensor
// or without.
std::vector<std::string> compared_policies(const ModelConfig& config) {
  if (config.arch == "tokenformer") return {"zero_key_fixed_scale", "zero_key_copy", "random_key_matched"};
  return {"zero_rows", "zero_all", "zero_copy", "split", "random_matched"};
}

void compare_growth(ProcessGrid& grid, const testing::NamedModel& model, const GridOptions& options,
                    const std::string& init) {
  const std::string name = fmt::format("growth of {} by {} on dp {} tp {}, {}", model.name, init, grid.dp_size(),
                                       grid.tp_size(), name_of(options.dtype));
  ProcessGrid single(testing::on_device(make_self_communicator()), 1, 1);
  const Grown many = grow(grid, model, options, init);
  const Grown one = grow(single, model, options, init);
  MPI_EXPECT(many.digest == one.digest, name + ": other values than on one rank");
  if (growth_policy(init).alive()) {
    const bool promises = growth_of(model.config, init).mask || growth_policy(init).why_lossy(model.config).empty();
    MPI_EXPECT(many.check.lossless() == promises && many.check.alive(), name + " is not what it promises");
    MPI_EXPECT(many.check.new_params == one.check.new_params && many.check.new_params > 0, name + ": new parameters");
    MPI_EXPECT(std::abs(many.check.loss_before - one.check.loss_before) <= 2e-5 * one.check.loss_before,
               name + ": loss");
    return;
  }
  MPI_EXPECT(!many.check.alive() && many.check.dead_params == one.check.dead_params &&
                 many.check.dead_blocks == one.check.dead_blocks,
             fmt::format("{}: {} dead parameters for {}", name, many.check.dead_params, one.check.dead_params));
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  using namespace nexus;
  MpiSession session(&argc, &argv);
  const auto models = testing::divisible_models();
  const auto named = [&](const std::string& name) {
    for (const testing::NamedModel& model : models)
      if (model.name == name) return model;
    return models[0];
  };
  if (session.world()->size() == 8) {
    Test(session.world(), named("NexusFull"), {DType::kF32, false}).run();
    Test(session.world(), named("TokenformerUntiedGrownScale"), {DType::kBF16, false}).run();
    return 0;
  }
  for (int tp = 1; tp <= session.world()->size(); tp *= 2) {
    ProcessGrid grid(testing::on_device(session.world()), session.world()->size() / tp, tp);
    for (const char* name : {"NexusFull", "NexusFullOneKvHeadTied", "Tokenformer"})
      for (const bool zero : {false, true})
        for (const std::string& init : compared_policies(named(name).config))
          compare_growth(grid, named(name), {zero ? DType::kBF16 : DType::kF32, zero}, init);
  }
  return 0;
}
