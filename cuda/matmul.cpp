#include "cuda/matmul.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/log.h"
#include "cuda/device.h"
#include "cuda/matmul_choices.h"
#include "cuda/matmul_problem.h"
#include "statistics/quantiles.h"

namespace nexus::cuda {

namespace {

// A smaller product ends before its launch pays off: the heuristic's favourite is as good as any. So it is in
// deterministic mode. The others stand by, because a launch may refuse what the heuristic suggests.
constexpr double kTimedFlop = 1e8;
constexpr int kCandidates = 16;
// An evaluation of samples of every length has many shapes, each used a few times: timing them would cost more than it
// gains, and keeping their plans for ever would cost memory.
constexpr int64_t kMostTimed = 512;
constexpr size_t kMostPlans = 4096;

// The first timed round only sorts out what is far behind; the others decide, by their median.
constexpr double kFarBehind = 1.5;
constexpr int kRounds = 5;
// A later candidate must win by more than clocks and caches vary from run to run, so that choices vary less.
constexpr float kClearWin = 0.99f;
// A measurement launches small products several times, or the events' own time would drown theirs.
constexpr double kMeasuredFlop = 4e10;
constexpr int kMostLaunches = 16;

struct Operands {
  const void* a;
  const void* b;
  void* c;
  float beta;
};

// A copy of a matrix that adds up, for timing: the true one must not be added to. Empty where memory is short.
class TimingCopy {
 public:
  TimingCopy(const Mat& m, cudaStream_t stream) {
    const int64_t span = (m.batch - 1) * m.batch_stride + (m.rows - 1) * m.ld + m.cols;
    const int64_t size_bytes = span * size_of(m.dtype);
    if (memory_.allocate(size_bytes) != cudaSuccess) {
      cudaGetLastError();  // an answer, not a pending error
      return;
    }
    NX_CUDA(cudaMemcpyAsync(memory_.data(), m.data, static_cast<size_t>(size_bytes), cudaMemcpyDeviceToDevice, stream));
  }
  void* data() const { return memory_.data(); }

 private:
  DeviceMemoryBlock memory_;
};

// An algorithm in the race for a product.
struct Runner {
  MatmulAlgorithm algorithm;
  Event begin{true}, end{true};
  std::vector<double> microseconds{};
};

}  // namespace

class Matmul::Impl {
 public:
  Impl(Queue& queue, const MatmulOptions& options)
      : queue_(queue),
        deterministic_(options.deterministic),
        library_(queue, kWorkspaceBytes),
        choices_(options.deterministic ? "" : options.cache_folder, queue.device()) {}

  void run(const Mat& a, const Mat& b, const Mat& c, float beta) {
    const MatmulKey key(a, b, c, beta);
    const auto found = plans_.find(key);
    Plan& plan = found != plans_.end() ? found->second : make_plan(key, a, b, c, beta);
    if (launch(key, plan, a, b, c, beta)) return;
    if (plan.remembered) {
      warn("{}: this library refuses what is remembered, choosing anew: {}", choices_.path(), key.text());
      plan.remembered = false;
      plan.algorithms = choose(key, plan.problem, a, b, c, beta);
      if (launch(key, plan, a, b, c, beta)) return;
    }
    if (!plan.fallback) warn_of_fallback(key);
    plan.fallback = true;
    matmul_fallback(a, b, c, beta, queue_);
  }

  int64_t timed_choices() const { return timed_; }
  const std::string& choices_path() const { return choices_.path(); }

 private:
  struct Plan {
    MatmulProblem problem;
    std::vector<MatmulAlgorithm> algorithms;  // the first is taken; none: matmul_fallback
    bool remembered = false;                  // was found among the choices in the file
    bool fallback = false;                    // has been taken, and told
  };

  // Drops algorithms that the launch refuses: the library's checks do not see everything. False if none is left, and
  // nothing is launched then.
  bool launch(const MatmulKey& key, Plan& plan, const Mat& a, const Mat& b, const Mat& c, float beta) {
    while (!plan.algorithms.empty()) {
      const cublasStatus_t status =
          library_.launch(plan.problem, plan.algorithms.front(), a.data, b.data, c.data, beta);
      if (status != CUBLAS_STATUS_NOT_SUPPORTED) {
        check_cublas(status, "cublasLtMatmul", &key);
        return true;
      }
      cudaGetLastError();  // not an error of the next launch
      plan.algorithms.erase(plan.algorithms.begin());
    }
    return false;
  }

  Plan& make_plan(const MatmulKey& key, const Mat& a, const Mat& b, const Mat& c, float beta) {
    Plan plan{MatmulProblem(key), {}};
    if (const std::optional<MatmulAlgorithm> remembered = find_remembered(key, plan.problem)) {
      plan.algorithms = {*remembered};
      plan.remembered = true;
    } else {
      plan.algorithms = choose(key, plan.problem, a, b, c, beta);
    }
    if (plans_.size() >= kMostPlans) plans_.clear();
    return plans_.emplace(key, std::move(plan)).first->second;
  }

  static void warn_of_fallback(const MatmulKey& key) {
    if (key.flop() < kTimedFlop) return;
    warn("cuBLASLt has no algorithm for a matrix product, a slow one takes its place: {}", key.text());
  }

  bool worth_timing(const MatmulKey& key) const { return !deterministic_ && key.flop() >= kTimedFlop; }

  std::optional<MatmulAlgorithm> find_remembered(const MatmulKey& key, MatmulProblem& problem) {
    if (!worth_timing(key)) return {};
    const std::optional<MatmulAlgorithm> remembered = choices_.find(key);
    if (!remembered || library_.accepts(problem, *remembered)) return remembered;
    warn("{}: not an algorithm of this library, chosen anew: {}", choices_.path(), key.text());
    return {};
  }

  // The fastest, or all that may do in the heuristic's order.
  std::vector<MatmulAlgorithm> choose(const MatmulKey& key, MatmulProblem& problem, const Mat& a, const Mat& b,
                                      const Mat& c, float beta) {
    const std::vector<MatmulAlgorithm> algorithms = library_.suggestions(key, problem, kCandidates);
    const bool race = worth_timing(key) && timed_ < kMostTimed;
    if (!race || algorithms.size() < 2) return algorithms;
    // Without beta nothing is added up, and c is about to be overwritten anyway.
    if (beta == 0) return fastest(key, problem, algorithms, {a.data, b.data, c.data, beta});
    const TimingCopy copy(c, queue_.stream());
    if (copy.data() == nullptr) return algorithms;
    return fastest(key, problem, algorithms, {a.data, b.data, copy.data(), beta});
  }

  // Waits for the device, and leaves the sum of many products in c where beta is 1. Empty if none can be launched.
  std::vector<MatmulAlgorithm> fastest(const MatmulKey& key, MatmulProblem& problem,
                                       const std::vector<MatmulAlgorithm>& algorithms, const Operands& on) {
    std::vector<Runner> field;
    // The first launch loads a kernel; a candidate that cannot run after all says so here.
    for (const MatmulAlgorithm& algorithm : algorithms) {
      if (library_.launch(problem, algorithm, on.a, on.b, on.c, on.beta) == CUBLAS_STATUS_SUCCESS)
        field.push_back(Runner{algorithm});
      else
        cudaGetLastError();  // not an error of the next launch
    }
    if (field.empty()) return {};
    run_round(key, problem, on, field);
    const auto rough = [](const Runner& runner) { return runner.microseconds.front(); };
    const float best = rough(*std::min_element(
        field.begin(), field.end(), [&](const Runner& one, const Runner& other) { return rough(one) < rough(other); }));
    std::erase_if(field, [&](const Runner& runner) { return rough(runner) > kFarBehind * best; });
    for (Runner& runner : field) runner.microseconds.clear();
    // Round by round, not candidate by candidate: clocks that fall as the device warms up are the same for all.
    for (int round = 0; round < kRounds; ++round) run_round(key, problem, on, field);
    const Runner* winner = &field.front();
    for (const Runner& runner : field)
      if (median(runner.microseconds) < kClearWin * median(winner->microseconds)) winner = &runner;
    ++timed_;
    choices_.add(key, winner->algorithm, median(winner->microseconds));
    return {winner->algorithm};
  }

  // One measurement of every runner.
  void run_round(const MatmulKey& key, MatmulProblem& problem, const Operands& on, std::vector<Runner>& field) {
    const int launches = static_cast<int>(std::clamp(kMeasuredFlop / key.flop(), 1.0, double{kMostLaunches}));
    for (Runner& runner : field) {
      runner.begin.record(queue_.stream());
      for (int i = 0; i < launches; ++i)
        check_cublas(library_.launch(problem, runner.algorithm, on.a, on.b, on.c, on.beta), "cublasLtMatmul", &key);
      runner.end.record(queue_.stream());
    }
    queue_.wait();
    for (Runner& runner : field) {
      float milliseconds = 0;
      NX_CUDA(cudaEventElapsedTime(&milliseconds, runner.begin.get(), runner.end.get()));
      runner.microseconds.push_back(1e3 * milliseconds / static_cast<double>(launches));
    }
  }

  Queue& queue_;
  bool deterministic_;
  MatmulLibrary library_;
  MatmulChoices choices_;
  std::unordered_map<MatmulKey, Plan, MatmulKeyHash> plans_;
  int64_t timed_ = 0;
};

Matmul::Matmul(Queue& queue, const MatmulOptions& options) : impl_(std::make_unique<Impl>(queue, options)) {}

Matmul::~Matmul() = default;

void Matmul::run(const Mat& a, const Mat& b, const Mat& c, float beta) {
  require_compute_type(a.dtype);
  impl_->run(a, b, c, beta);
}

template <>
void compute(const ops::MatMul& op, Device& device) {
  device.matmul.run(op.a, op.b, op.c, op.beta);
}

int64_t Matmul::timed_choices() const {
  return impl_->timed_choices();
}

std::string Matmul::choices_path() const {
  return impl_->choices_path();
}

std::string Matmul::description() const {
  const int64_t version = MatmulLibrary::version();
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace nexus::cuda
