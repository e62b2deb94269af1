// Time of every CPU kernel at the shapes of a small Nexusformer: L3 D192 H4 M256 A320 F512 V4096, batch 8 x context
// 512. Counters: GFLOP/s of matrix products and attention (causal half), GB/s of the rest (bytes that must move once).
// OMP_NUM_THREADS sets the threads; --benchmark_filter=f32 leaves bf16 and f64 out.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/matmul.h"
#include "core/rng.h"

namespace nexus {
namespace {

constexpr int64_t kBatch = 8, kContext = 512, kTokens = kBatch * kContext;
constexpr int64_t kD = 192, kHeads = 4, kHeadDim = kD / kHeads, kM = 256, kA = 320, kF = 512, kV = 4096;

Backend& backend() {
  static const std::unique_ptr<Backend> cpu = make_cpu_backend();
  return *cpu;
}

// A tensor of normal numbers; a prime period keeps the set-up short without aligning equal rows.
struct Operand {
  Operand(DType dtype, Shape shape, double deviation = 1.0)
      : buffer(backend().allocate(shape.count() * size_of(dtype))), tensor(buffer.tensor(dtype, shape)) {
    static const std::vector<float> period = [] {
      const RandomStream random(1, "benchmark");
      std::vector<float> values(65537);
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
      return values;
    }();
    const Buffer values = host_buffer(shape.count() * 4);
    float* value = static_cast<float*>(values.data());
    for (int64_t i = 0; i < shape.count(); ++i)
      value[i] = static_cast<float>(deviation) * period[static_cast<size_t>(i) % period.size()];
    backend().run(ops::Copy{values.tensor(DType::kF32, shape), tensor});
  }
  operator const Tensor&() const { return tensor; }  // NOLINT(google-explicit-constructor)
  Buffer buffer;
  Tensor tensor;
};

void report_flops(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void report_bytes(benchmark::State& state, int64_t bytes) {
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(bytes) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// --- matrices: y = x W^T, dx = dy W, dW += dy^T x for a weight [out, in]
enum class Product { kForward, kInputGradient, kWeightGradient };

template <typename Multiply>
void run_product(benchmark::State& state, Product kind, DType dtype, const Multiply& multiply) {
  const int64_t out = state.range(0), in = state.range(1);
  const Operand x(dtype, {kTokens, in}), y(dtype, {kTokens, out}), w(dtype, {out, in});
  const Operand dw(wide_of(dtype), {out, in});
  for ([[maybe_unused]] auto _ : state) {
    if (kind == Product::kForward) multiply(x.tensor, Mat(w.tensor).t(), y.tensor, 0.0f);
    if (kind == Product::kInputGradient) multiply(y.tensor, w.tensor, x.tensor, 0.0f);
    if (kind == Product::kWeightGradient) multiply(Mat(y.tensor).t(), x.tensor, dw.tensor, 1.0f);
  }
  report_flops(state, 2.0 * static_cast<double>(kTokens) * static_cast<double>(out) * static_cast<double>(in));
}

void bench_backend_product(benchmark::State& state, Product kind, DType dtype) {
  run_product(state, kind, dtype, [](const Mat& a, const Mat& b, const Mat& c, float beta) {
    backend().run(ops::MatMul{a, b, c, beta});
  });
}

void bench_openblas(benchmark::State& state, Product kind, DType dtype) {
  run_product(state, kind, dtype, cpu::blas_matmul);
}

void bench_onednn(benchmark::State& state, Product kind, DType dtype) {
  static const std::unique_ptr<cpu::OneDnnMatmul> onednn = cpu::OneDnnMatmul::make();
  if (!onednn) return state.SkipWithError("built without oneDNN");
  run_product(state, kind, dtype, [&](const Mat& a, const Mat& b, const Mat& c, float beta) {
    if (!onednn->run(a, b, c, beta)) state.SkipWithError("oneDNN has no kernel for this type here");
  });
}

// --- everything else
void bench_norm_gelu_forward(benchmark::State& state, DType dtype) {
  const int64_t width = state.range(0);
  const Operand h(dtype, {kTokens, width}), a(dtype, {kTokens, width}), scale(wide_of(dtype), {kTokens, 1});
  NormGelu op;
  op.scales = {14.0f};
  for ([[maybe_unused]] auto _ : state) backend().run(ops::NormGeluForward{op, h, a, scale});
  report_bytes(state, 2 * h.tensor.size_bytes());
}

void bench_norm_gelu_backward(benchmark::State& state, DType dtype) {
  const int64_t width = state.range(0);
  const Operand h(dtype, {kTokens, width}), da(dtype, {kTokens, width}), dh(dtype, {kTokens, width});
  const Operand scale(wide_of(dtype), {kTokens, 1});
  NormGelu op;
  op.scales = {14.0f};
  for ([[maybe_unused]] auto _ : state) backend().run(ops::NormGeluBackward{op, da, h, scale, dh});
  report_bytes(state, 3 * h.tensor.size_bytes());
}

void bench_swiglu(benchmark::State& state, DType dtype) {
  const Operand h(dtype, {kTokens, 2 * kF}), a(dtype, {kTokens, kF});
  for ([[maybe_unused]] auto _ : state) backend().run(ops::GateForward{GateKind::kSwiGlu, GeluKind::kErf, h, a});
  report_bytes(state, 3 * a.tensor.size_bytes());
}

void bench_swiglu_backward(benchmark::State& state, DType dtype) {
  const Operand h(dtype, {kTokens, 2 * kF}), da(dtype, {kTokens, kF}), dh(dtype, {kTokens, 2 * kF});
  for ([[maybe_unused]] auto _ : state) backend().run(ops::GateBackward{GateKind::kSwiGlu, GeluKind::kErf, da, h, dh});
  report_bytes(state, 5 * da.tensor.size_bytes());
}

void bench_add_norm(benchmark::State& state, DType dtype) {
  const Operand x(dtype, {kTokens, kD}), delta(dtype, {kTokens, kD}, 0), weight(dtype, {kD});
  const Operand y(dtype, {kTokens, kD}), stats(wide_of(dtype), {kTokens, 2});
  for ([[maybe_unused]] auto _ : state) backend().run(ops::AddNormForward{{}, x, delta, weight, y, stats});
  report_bytes(state, 4 * x.tensor.size_bytes());
}

void bench_norm_backward(benchmark::State& state, DType dtype) {
  const Operand x(dtype, {kTokens, kD}), dy(dtype, {kTokens, kD}), weight(dtype, {kD}), dx(dtype, {kTokens, kD}, 0);
  const Operand stats(wide_of(dtype), {kTokens, 2}), dweight(wide_of(dtype), {kD}, 0);
  for ([[maybe_unused]] auto _ : state) backend().run(ops::NormBackward{{}, dy, x, weight, stats, dx, dweight});
  report_bytes(state, 4 * x.tensor.size_bytes());
}

void bench_rope(benchmark::State& state, DType dtype) {
  const Operand x(dtype, {kTokens, kD});
  const Rope op{kContext, kHeads, kHeadDim, kHeadDim, kD, 10000.0f};
  for ([[maybe_unused]] auto _ : state) backend().run(ops::Rotate{op, x, false});
  report_bytes(state, 2 * x.tensor.size_bytes());
}

constexpr Attention kAttention{kBatch, kContext, kHeads, kHeads, kHeadDim, kD};
constexpr double kAttentionFlops = 2.0 * kBatch * kHeads * kContext * kContext * kHeadDim;

void bench_attention_forward(benchmark::State& state, DType dtype) {
  const Operand q(dtype, {kTokens, kD}), k(dtype, {kTokens, kD}), v(dtype, {kTokens, kD}), out(dtype, {kTokens, kD});
  const Operand lse(wide_of(dtype), {kBatch, kHeads, kContext});
  for ([[maybe_unused]] auto _ : state) backend().run(ops::AttentionForward{kAttention, q, k, v, out, lse});
  report_flops(state, kAttentionFlops);
}

void bench_attention_backward(benchmark::State& state, DType dtype) {
  const Operand q(dtype, {kTokens, kD}), k(dtype, {kTokens, kD}), v(dtype, {kTokens, kD}), out(dtype, {kTokens, kD});
  const Operand dout(dtype, {kTokens, kD}), dq(dtype, {kTokens, kD}), dk(dtype, {kTokens, kD}),
      dv(dtype, {kTokens, kD});
  const Operand lse(wide_of(dtype), {kBatch, kHeads, kContext}), scratch(wide_of(dtype), {kBatch, kHeads, kContext});
  backend().run(ops::AttentionForward{kAttention, q, k, v, out, lse});
  for ([[maybe_unused]] auto _ : state)
    backend().run(ops::AttentionBackward{kAttention, dout, q, k, v, out, lse, scratch, dq, dk, dv});
  report_flops(state, 2.5 * kAttentionFlops);  // five products, of which one is recomputed
}

// Ids of [count] below the vocabulary.
struct Ids {
  explicit Ids(int64_t count) : buffer(host_buffer(count * 4)), tensor(buffer.tensor(DType::kI32, {count})) {
    const RandomStream random(2, "ids");
    for (int64_t i = 0; i < count; ++i)
      tensor.as<int32_t>()[i] = static_cast<int32_t>(random.below(static_cast<uint64_t>(i), kV));
  }
  Buffer buffer;
  Tensor tensor;
};

void bench_embedding_forward(benchmark::State& state, DType dtype) {
  const Ids ids(kTokens);
  const Operand weight(dtype, {kV, kD}), out(dtype, {kTokens, kD});
  for ([[maybe_unused]] auto _ : state) backend().run(ops::EmbeddingForward{ids.tensor, weight, 0, out});
  report_bytes(state, 2 * out.tensor.size_bytes());
}

void bench_embedding_backward(benchmark::State& state, DType dtype) {
  const Ids ids(kTokens);
  const Operand dout(dtype, {kTokens, kD}), dweight(wide_of(dtype), {kV, kD}, 0);
  for ([[maybe_unused]] auto _ : state) backend().run(ops::EmbeddingBackward{ids.tensor, dout, 0, dweight});
  report_bytes(state, 3 * dout.tensor.size_bytes());
}

void bench_cross_entropy(benchmark::State& state, DType dtype) {
  const Ids ids(kTokens);
  const Operand logits(dtype, {kTokens, kV}), losses(wide_of(dtype), {kTokens});
  for ([[maybe_unused]] auto _ : state) backend().run(ops::CrossEntropy{logits, ids.tensor, losses, 1.0f});
  report_bytes(state, 2 * logits.tensor.size_bytes());
}

constexpr int64_t kParameters = 4'000'000;

void bench_sum_squares(benchmark::State& state, DType dtype) {
  const Operand x(wide_of(dtype), {kParameters}), out(DType::kF64, {1});
  for ([[maybe_unused]] auto _ : state) backend().run(ops::SumSquares{x, {{0, kParameters}}, out});
  report_bytes(state, x.tensor.size_bytes());
}

void bench_adamw(benchmark::State& state, DType dtype) {
  const DType wide = wide_of(dtype);
  const Operand grad(wide, {kParameters}), m(wide, {kParameters}, 0), v(wide, {kParameters}, 0);
  const Operand master(wide, {kParameters}), compute(dtype, {kParameters});
  const std::vector<UpdateBlock> blocks = {{0, 0, 1, kParameters, 0, 1e-4, 0.1, 10, 10}};
  for ([[maybe_unused]] auto _ : state)
    backend().run(ops::AdamWUpdate{{}, blocks, Tensor(), grad, m, v, master, compute, Tensor()});
  report_bytes(state, 7 * master.tensor.size_bytes() + compute.tensor.size_bytes());
}

using Benchmark = benchmark::internal::Benchmark;

void weight_shapes(Benchmark* bench) {
  for (const auto& [out, in] : {std::pair{kM, kD}, {kA, kM}, {kD, kA}, {kF, kM}, {kD, kF}, {kV, kD}})
    bench->Args({out, in});
}

void finish(Benchmark* bench) {
  bench->Unit(benchmark::kMillisecond)->UseRealTime();
}

using Kernel = std::pair<const char*, void (*)(benchmark::State&, DType)>;
using Named = std::pair<const char*, void (*)(benchmark::State&, Product, DType)>;

void register_products(const std::string& type, DType dtype) {
  const std::pair<Product, const char*> kinds[] = {
      {Product::kForward, "forward"}, {Product::kInputGradient, "dgrad"}, {Product::kWeightGradient, "wgrad"}};
  for (const auto& [kind, name] : kinds) {
    for (const auto& [library, run] :
         {Named{"backend", bench_backend_product}, {"openblas", bench_openblas}, {"onednn", bench_onednn}}) {
      if (run == bench_openblas && dtype == DType::kBF16) continue;
      Benchmark* bench =
          benchmark::RegisterBenchmark((type + "/matmul_" + name + "/" + library).c_str(), run, kind, dtype);
      weight_shapes(bench);
      finish(bench);
    }
  }
}

void register_kernels(const std::string& type, DType dtype) {
  const Kernel kernels[] = {
      {"swiglu_forward", bench_swiglu},
      {"swiglu_backward", bench_swiglu_backward},
      {"add_norm_forward", bench_add_norm},
      {"norm_backward", bench_norm_backward},
      {"rope", bench_rope},
      {"attention_forward", bench_attention_forward},
      {"attention_backward", bench_attention_backward},
      {"embedding_forward", bench_embedding_forward},
      {"embedding_backward", bench_embedding_backward},
      {"cross_entropy", bench_cross_entropy},
      {"sum_squares", bench_sum_squares},
      {"adamw", bench_adamw},
  };
  for (const auto& [name, run] :
       {Kernel{"norm_gelu_forward", bench_norm_gelu_forward}, {"norm_gelu_backward", bench_norm_gelu_backward}}) {
    Benchmark* bench = benchmark::RegisterBenchmark((type + "/" + name).c_str(), run, dtype);
    finish(bench->Arg(kM)->Arg(kF)->Arg(2048));
  }
  for (const auto& [name, run] : kernels) finish(benchmark::RegisterBenchmark((type + "/" + name).c_str(), run, dtype));
}

const bool kRegistered = [] {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
    register_kernels(std::string(name_of(dtype)), dtype);
    if (dtype != DType::kF64) register_products(std::string(name_of(dtype)), dtype);
  }
  benchmark::AddCustomContext("backend", backend().description());
  return true;
}();

}  // namespace
}  // namespace nexus
