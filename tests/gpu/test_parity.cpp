// Every operation of the CUDA back end against its CPU twin, at the sizes of real models and at odd ones.
#include "gpu/parity.h"

namespace nexus::test {
namespace {

// GELU and its slope are good to 1e-6 on both sides, and their argument carries the rounding of a norm.
constexpr double kActivation = 4e-6;

double activation_bound(DType dtype) {
  return dtype == DType::kBF16 ? kBf16 : kActivation;
}

std::string named(const std::string& what, std::initializer_list<int64_t> sizes) {
  return what + " " + Shape(sizes).str();
}

TEST_P(Parity, Elementwise) {
  for (const int64_t count : {1, 4097, 1000003}) {
    for (const DType other : {DType::kF32, DType::kBF16}) {
      expect_parity(named("copy and add with " + std::string(name_of(other)), {count}), [&](Side& side) {
        const Tensor x = side.input({count});
        side.backend.run(ops::Copy{x, side.output("copy", other, {count}, kExact)});
        side.backend.run(ops::Add{x, side.updated("sum", other, {count}, kExact)});
      });
    }
    expect_parity(named("zero, integers and sums", {count}), [&](Side& side) {
      side.backend.run(ops::Zero{side.updated("zeros", side.dtype(), {count}, kExact)});
      const std::vector<int32_t> numbers(static_cast<size_t>(count), -123456789);
      side.backend.run(ops::Copy{side.ids(numbers), side.output("integers", DType::kI32, {count}, kExact)});
      const Tensor x = side.positive_as(side.wide(), {count}, 1.0);
      side.backend.run(ops::AddSum{x, side.written("total", 1e-12, side.given(DType::kF64, {1}, {0.5}))});
    });
  }
}

TEST_P(Parity, ScaleColumns) {
  struct Columns {
    int64_t rows, width, begin;
  };
  for (const Columns& c : {Columns{1500, 1280, 768}, Columns{2048, 416, 256}, Columns{70, 1003, 1},
                           Columns{9, 20000, 0}, Columns{1, 33, 32}, Columns{600000, 5, 2}, Columns{50, 64, 64}}) {
    expect_parity(named("scale_columns", {c.rows, c.width, c.begin}), [&](Side& side) {
      side.backend.run(ops::ScaleColumns{side.updated("x", side.dtype(), {c.rows, c.width}, kExact), c.begin, 0.3});
    });
  }
}

TEST_P(Parity, CopyMatrix) {
  struct Layout {
    int64_t ld, stride;
  };
  struct Copy {
    int64_t rows, cols, batch;
    Layout from, to;
  };
  const Copy copies[] = {{500, 768, 3, {2304, 768}, {768, 500 * 768}},  // groups side by side to one after the other
                         {500, 768, 3, {768, 500 * 768}, {2304, 768}},
                         {1000, 257, 1, {257, 0}, {300, 0}},
                         {3, 100003, 2, {100003, 300009}, {100010, 300031}}};
  for (const Copy& c : copies) {
    expect_parity(named("copy_matrix", {c.batch, c.rows, c.cols}), [&](Side& side) {
      const auto extent = [&](const Layout& m) { return (c.batch - 1) * m.stride + (c.rows - 1) * m.ld + c.cols; };
      const Tensor from = side.input({extent(c.from)});
      const Tensor to = side.updated("to", side.dtype(), {extent(c.to)}, kExact);
      side.backend.run(ops::CopyMatrix{Mat::view(from, c.rows, c.cols, c.from.ld).batched(c.batch, c.from.stride),
                                       Mat::view(to, c.rows, c.cols, c.to.ld).batched(c.batch, c.to.stride)});
    });
  }
}

// Errors of partial sums grow with the square root of their number, and kF32 is for 4096 of them.
double product_bound(DType dtype, int64_t terms) {
  if (dtype == DType::kBF16) return kBf16;
  return kF32 * std::sqrt(std::max(1.0, static_cast<double>(terms) / 4096));
}

// Sums of bf16 products that stay f32: tensor cores cut the running sum off, rather than round it, after every 16
// products, each time by up to 2^-23 of it.
double sum_bound(DType dtype, int64_t terms) {
  return dtype == DType::kBF16 ? std::max(kF32, static_cast<double>(terms) / 16 * 1.2e-7) : kF32;
}

// The three products of a layer: y = x W^T, dx = dy W, dW += dy^T x.
TEST_P(Parity, Matmul) {
  struct Layer {
    int64_t rows, in, out;
  };
  for (const auto& [rows, in, out] : {Layer{2048, 768, 1024}, Layer{2048, 1024, 1280}, Layer{2048, 2048, 768},
                                      Layer{256, 768, 32000}, Layer{131, 77, 51}, Layer{1, 1003, 5}}) {
    expect_parity(named("layer", {rows, in, out}), [&](Side& side) {
      const Tensor x = side.input({rows, in}), weight = side.input({out, in}, 0.02), dy = side.input({rows, out});
      side.backend.run(ops::MatMul{x, Mat(weight).t(), side.output("y", {rows, out})});
      side.backend.run(
          ops::MatMul{dy, weight, side.output("dx", side.dtype(), {rows, in}, product_bound(side.dtype(), out))});
      if (out < 32000)
        side.backend.run(ops::MatMul{
            Mat(dy).t(), x, side.updated("dweight", side.wide(), {out, in}, sum_bound(side.dtype(), rows)), 1.0f});
    });
  }
}

// Three projections whose rows lie side by side.
TEST_P(Parity, GroupedMatmul) {
  constexpr int64_t kGroups = 3;
  for (const auto& [rows, in, out] : std::vector<std::array<int64_t, 3>>{{1024, 1024, 1280}, {100, 50, 33}}) {
    expect_parity(named("groups", {rows, in, out}), [&](Side& side) {
      const Tensor x = side.input({rows, kGroups * in}), weights = side.input({kGroups * out, in}, 0.02);
      const Tensor y = side.output("y", {rows, kGroups * out}), dy = side.input({rows, kGroups * out});
      const Tensor dx = side.output("dx", {rows, kGroups * in});
      const Tensor dweights = side.updated("dweights", side.wide(), {kGroups * out, in}, kF32);
      const auto beside = [&](const Tensor& t, int64_t width) {
        return Mat::view(t, rows, width, kGroups * width).batched(kGroups, width);
      };
      const auto stacked = [&](const Tensor& t) { return Mat::view(t, out, in, in).batched(kGroups, out * in); };
      side.backend.run(ops::MatMul{beside(x, in), stacked(weights).t(), beside(y, out)});
      side.backend.run(ops::MatMul{beside(dy, out), stacked(weights), beside(dx, in)});
      side.backend.run(ops::MatMul{beside(dy, out).t(), beside(x, in), stacked(dweights), 1.0f});
    });
  }
}

struct Stage {
  int64_t rows, groups, width;
};

NormGelu stage_op(NormKind norm, GeluKind gelu, int64_t groups) {
  NormGelu op;
  op.norm = norm;
  op.gelu = gelu;
  for (int64_t g = 0; g < groups; ++g) op.scales.push_back(static_cast<float>(28 + 4 * g));
  return op;
}

TEST_P(Parity, NormGelu) {
  for (const Stage& size : {Stage{64, 3, 768}, Stage{1501, 1, 1024}, Stage{100, 3, 1280}, Stage{200, 1, 2048},
                            Stage{30, 1, 8192}, Stage{9, 1, 20000}, Stage{70, 3, 1003}, Stage{50, 1, 33}}) {
    for (const NormKind norm : {NormKind::kL2, NormKind::kNone}) {
      for (const GeluKind gelu : {GeluKind::kErf, GeluKind::kTanh}) {
        const NormGelu op = stage_op(norm, gelu, size.groups);
        const std::string what = fmt::format("norm_gelu, norm {}, gelu {}", int(norm), int(gelu));
        expect_parity(named(what, {size.rows, size.groups, size.width}), [&](Side& side) {
          const Shape shape = {size.rows, size.groups, size.width};
          const double bound = activation_bound(side.dtype());
          const Tensor h = side.input(shape), da = side.input(shape);
          const Tensor scale =
              norm == NormKind::kL2 ? side.wide_output("row_scale", {size.rows, size.groups}) : Tensor();
          side.backend.run(ops::NormGeluForward{op, h, side.output("a", side.dtype(), shape, bound), scale});
          side.backend.run(ops::NormGeluBackward{op, da, h, scale, side.output("dh", side.dtype(), shape, bound)});
          const Tensor replaced = side.updated("dh in place of da", side.dtype(), shape, bound);
          side.backend.run(ops::NormGeluBackward{op, replaced, h, scale, replaced});
        });
      }
    }
  }
}

TEST_P(Parity, NormGeluInHalves) {
  for (const Stage& size : {Stage{150, 3, 512}, Stage{500, 1, 1024}, Stage{70, 3, 1003}}) {
    for (const GeluKind gelu : {GeluKind::kErf, GeluKind::kTanh}) {
      const NormGelu op = stage_op(NormKind::kL2, gelu, size.groups);
      expect_parity(
          named(fmt::format("halves, gelu {}", int(gelu)), {size.rows, size.groups, size.width}), [&](Side& side) {
            const Shape shape = {size.rows, size.groups, size.width}, rows = {size.rows, size.groups};
            const double bound = activation_bound(side.dtype());
            // With bf16, tanh need not be better than bf16 either.
            const double sum_bound = gelu == GeluKind::kTanh ? bound : kActivation;
            const Tensor h = side.input(shape), da = side.input(shape);
            const Tensor squares = side.wide_output("squares", rows);
            const Tensor scale = side.wide_output("row_scale", rows);
            const Tensor sums = side.output("r", side.wide(), rows, sum_bound);
            side.backend.run(ops::RowSumSquares{h, squares});
            side.backend.run(
                ops::NormGeluForwardFrom{op, h, squares, side.output("a", side.dtype(), shape, bound), scale});
            side.backend.run(ops::NormGeluBackwardSums{op, da, h, scale, sums});
            side.backend.run(
                ops::NormGeluBackwardFrom{op, da, h, scale, sums, side.output("dh", side.dtype(), shape, bound)});
            const Tensor replaced = side.updated("dh in place of da", side.dtype(), shape, bound);
            side.backend.run(ops::NormGeluBackwardFrom{op, replaced, h, scale, sums, replaced});
          });
    }
  }
}

TEST_P(Parity, Gate) {
  for (const auto& [rows, width] : std::vector<std::pair<int64_t, int64_t>>{{700, 2048}, {300, 1003}, {1, 5}}) {
    for (const GateKind gate : {GateKind::kSwiGlu, GateKind::kGelu}) {
      for (const GeluKind gelu : {GeluKind::kErf, GeluKind::kTanh}) {
        expect_parity(named(fmt::format("gate {}, gelu {}", int(gate), int(gelu)), {rows, width}), [&](Side& side) {
          const Shape inner = {rows, (gate == GateKind::kSwiGlu ? 2 : 1) * width}, outer = {rows, width};
          const double bound = activation_bound(side.dtype());
          const Tensor h = side.input(inner), da = side.input(outer);
          side.backend.run(ops::GateForward{gate, gelu, h, side.output("a", side.dtype(), outer, bound)});
          side.backend.run(ops::GateBackward{gate, gelu, da, h, side.output("dh", side.dtype(), inner, bound)});
        });
      }
    }
  }
}

TEST_P(Parity, RowNorm) {
  for (const auto& [rows, width] : std::vector<std::pair<int64_t, int64_t>>{
           {1501, 768}, {500, 1024}, {333, 1280}, {300, 2048}, {40, 8192}, {200, 1003}, {3, 33}}) {
    for (const RowNormKind kind : {RowNormKind::kRms, RowNormKind::kLayer}) {
      for (const bool full : {true, false}) {  // with a weight and something to add
        expect_parity(named(fmt::format("row norm {}, full {}", int(kind), full), {rows, width}), [&](Side& side) {
          const RowNorm op{kind, 1e-6f};
          const Tensor x = side.updated("x", side.dtype(), {rows, width}, kExact);
          const Tensor delta = full ? side.input({rows, width}) : Tensor();
          const Tensor weight = full ? side.input({width}) : Tensor(), dy = side.input({rows, width});
          const Tensor stats = side.wide_output("stats", {rows, 2});
          side.backend.run(ops::AddNormForward{op, x, delta, weight, side.output("y", {rows, width}), stats});
          const Tensor dx = side.updated("dx", side.dtype(), {rows, width}, bound_of(side.dtype()));
          const Tensor dweight = full ? side.updated("dweight", side.wide(), {width}, kF32) : Tensor();
          side.backend.run(ops::NormBackward{op, dy, x, weight, stats, dx, dweight});
        });
      }
    }
  }
}

TEST_P(Parity, HeadNorm) {
  for (const auto& [op, tokens] : std::vector<std::pair<HeadNorm, int64_t>>{
           {{12, 64, 2304}, 4096}, {{4, 128, 1536}, 1501}, {{3, 20, 77}, 300}, {{1, 256, 256}, 33}}) {
    expect_parity(named("head norm", {tokens, op.heads, op.head_dim}), [&, op = op, tokens = tokens](Side& side) {
      const int64_t width = op.heads * op.head_dim;
      const Tensor weight = side.input({width}), kept = side.output("kept", {tokens, width});
      const Tensor stats = side.wide_output("stats", {tokens, op.heads});
      side.backend.run(ops::HeadNormForward{
          op, side.updated("x", side.dtype(), {tokens, op.ld}, bound_of(side.dtype())), weight, kept, stats});
      const Tensor dx = side.updated("dx", side.dtype(), {tokens, op.ld}, bound_of(side.dtype()));
      const Tensor dweight = side.updated("dweight", side.wide(), {width}, kF32);
      side.backend.run(ops::HeadNormBackward{op, dx, kept, weight, stats, dweight});
    });
  }
}

TEST_P(Parity, Rope) {
  for (const Rope& op : {Rope{4096, 4, 64, 64, 272, 10000.0f}, Rope{1000, 3, 128, 96, 384, 500000.0f},
                         Rope{77, 2, 20, 10, 43, 10000.0f}}) {
    expect_parity(named("rope", {op.context, op.heads, op.head_dim, op.rotary_dim}), [&](Side& side) {
      const int64_t tokens = 2 * op.context;
      for (const bool inverse : {false, true})
        side.backend.run(
            ops::Rotate{op, side.updated("x", side.dtype(), {tokens, op.ld}, bound_of(side.dtype())), inverse});
      std::vector<int32_t> positions;
      for (int64_t i = 0; i < tokens; ++i) positions.push_back(static_cast<int32_t>(i * i % op.context));
      side.backend.run(ops::Rotate{op, side.updated("x", side.dtype(), {tokens, op.ld}, bound_of(side.dtype())), false,
                                   side.ids(positions)});
    });
  }
}

// Packed as a layer packs them: q, k, v side by side, and `gap` elements of someone else.
void attend(Side& side, const Attention& op, const std::vector<int32_t>& lengths = {}) {
  // f32: scores are sums of head_dim terms, and exp turns their absolute error of up to 1e-6 into a relative one. bf16:
  // probabilities and their gradients are rounded to 2^-9 before they are multiplied; backward also subtracts
  // sum(dout out), of an output that is rounded, too.
  const bool bf16 = side.dtype() == DType::kBF16;
  const double forward_bound = bf16 ? 8e-3 : 4e-6, backward_bound = bf16 ? 2e-2 : 8e-6;
  const int64_t tokens = op.batch * op.context, width = op.heads * op.head_dim;
  const auto part = [&](const Tensor& packed, int64_t at) {
    return Tensor{static_cast<char*>(packed.data) + at * size_of(packed.dtype), packed.dtype, packed.shape};
  };
  const int64_t k_at = width, v_at = width + op.kv_heads * op.head_dim;
  const Tensor qkv = side.input({tokens, op.ld}), dout = side.input({tokens, width});
  const Tensor out = side.output("out", side.dtype(), {tokens, width}, forward_bound);
  const Shape rows = {op.batch, op.heads, op.context};
  // Of tokens beyond a length it means nothing.
  const Tensor logsumexp = lengths.empty() ? side.output("logsumexp", side.wide(), rows, 4e-6)
                                           : side.given(side.wide(), rows, Values(static_cast<size_t>(rows.count())));
  const Tensor of_samples = lengths.empty() ? Tensor{} : side.ids(lengths);
  side.backend.run(ops::AttentionForward{op, qkv, part(qkv, k_at), part(qkv, v_at), out, logsumexp, of_samples});
  const Tensor scratch = side.input_as(side.wide(), logsumexp.shape);
  const Tensor dqkv = side.updated("dqkv", side.dtype(), {tokens, op.ld}, backward_bound);
  side.backend.run(ops::AttentionBackward{op, dout, qkv, part(qkv, k_at), part(qkv, v_at), out, logsumexp, scratch,
                                          dqkv, part(dqkv, k_at), part(dqkv, v_at), of_samples});
}

TEST_P(Parity, Attention) {
  struct Case {
    int64_t batch, context, heads, kv_heads, head_dim, gap;
  };
  for (const Case& c :
       {Case{1, 4096, 2, 1, 64, 0}, Case{1, 4096, 1, 1, 128, 0}, Case{2, 1000, 6, 6, 128, 0}, Case{2, 333, 8, 2, 64, 8},
        Case{2, 65, 4, 4, 80, 0}, Case{1, 300, 3, 3, 20, 5}, Case{3, 1, 2, 2, 64, 0}}) {
    const Attention op{c.batch,    c.context,  c.heads,
                       c.kv_heads, c.head_dim, (c.heads + 2 * c.kv_heads) * c.head_dim + c.gap};
    // cuDNN's fast backward pass adds atomically: only the deterministic back end repeats its bits.
    expect_parity(
        named(fmt::format("attention {} x {}, {} kv heads", c.batch, c.context, c.kv_heads),
              {c.heads, c.head_dim, c.gap}),
        [&](Side& side) { attend(side, op); }, deterministic_gpu());
  }
}

TEST_P(Parity, RaggedAttention) {
  struct Case {
    int64_t heads, kv_heads, head_dim, gap;
    std::vector<int32_t> queries, keys;  // of the runs
  };
  for (const Case& c : {Case{12, 12, 64, 0, {300, 25, 30, 1, 77, 64}, {300, 120, 333, 2000, 77, 1000}},
                        Case{8, 2, 128, 8, {1, 1, 8, 3}, {4000, 1, 8, 65}}, Case{4, 4, 80, 0, {40, 7}, {1040, 7}},
                        Case{3, 1, 20, 5, {33, 2, 9}, {33, 64, 500}}, Case{2, 2, 256, 0, {50, 1}, {200, 129}}}) {
    expect_parity(named(fmt::format("ragged attention of {} runs, {} kv heads", c.queries.size(), c.kv_heads),
                        {c.heads, c.head_dim, c.gap}),
                  [&](Side& side) {
                    constexpr int64_t kSlots = 5000;
                    RaggedAttention op{c.heads, c.kv_heads, c.head_dim, c.heads * c.head_dim + c.gap,
                                       c.kv_heads * c.head_dim + c.gap};
                    std::vector<int32_t> runs, keys;
                    int32_t rows = 0;
                    const RandomStream slots(parity_seed(), "slots");
                    for (size_t i = 0; i < c.queries.size(); ++i) {
                      runs.insert(runs.end(), {rows, c.queries[i], static_cast<int32_t>(keys.size()), c.keys[i]});
                      for (int32_t j = 0; j < c.keys[i]; ++j)
                        keys.push_back(static_cast<int32_t>(slots.below(keys.size(), kSlots)));
                      rows += c.queries[i];
                      op.longest = std::max<int64_t>(op.longest, c.queries[i]);
                      op.pairs += c.queries[i] * c.keys[i];
                    }
                    const Tensor q = side.input({rows, op.q_ld}), k = side.input({kSlots, op.kv_ld}),
                                 v = side.input({kSlots, op.kv_ld});
                    // As `attend`, but for probabilities, which are f32 here.
                    const double bound = side.dtype() == DType::kBF16 ? kBf16 : 4e-6;
                    const Tensor out = side.output("out", side.dtype(), {rows, c.heads * c.head_dim}, bound);
                    side.backend.run(ops::RaggedAttentionForward{
                        op, q, k, v, side.ids(runs).reshaped({std::ssize(c.queries), 4}), side.ids(keys), out});
                  });
  }
}

TEST_P(Parity, AttentionOfAllToAll) {
  struct Case {
    int64_t batch, context, heads, kv_heads, head_dim, gap;
    std::vector<int32_t> lengths;
  };
  for (const Case& c :
       {Case{2, 1000, 6, 6, 128, 0, {}}, Case{2, 333, 8, 2, 64, 8, {}}, Case{4, 1000, 4, 2, 64, 0, {1000, 0, 1, 517}},
        Case{3, 129, 3, 3, 20, 5, {128, 129, 65}}, Case{2, 65, 4, 4, 80, 0, {64, 13}}}) {
    const Attention op{c.batch,
                       c.context,
                       c.heads,
                       c.kv_heads,
                       c.head_dim,
                       (c.heads + 2 * c.kv_heads) * c.head_dim + c.gap,
                       AttentionMask::kFull};
    expect_parity(
        named(fmt::format("attention of all to all {} x {}, {} kv heads, {} lengths", c.batch, c.context, c.kv_heads,
                          c.lengths.size()),
              {c.heads, c.head_dim, c.gap}),
        [&](Side& side) { attend(side, op, c.lengths); }, deterministic_gpu());
  }
}

// Half of the tokens are drawn from ten, as common words are; some are outside of the slice.
std::vector<int32_t> token_ids(int64_t count, int64_t bound) {
  const RandomStream stream(parity_seed(), "token ids");
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (uint64_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>(stream.below(2 * i, 2) == 0 ? 2000 + stream.below(2 * i + 1, 10)
                                                              : stream.below(2 * i + 1, static_cast<uint64_t>(bound)));
  return ids;
}

TEST_P(Parity, Embedding) {
  struct Table {
    int64_t tokens, vocabulary, width, first_token;
  };
  for (const Table& t : {Table{6000, 32000, 256, 0}, Table{4000, 2500, 768, 0}, Table{3000, 2000, 1280, 1000},
                         Table{3000, 2500, 257, 0}, Table{1, 2011, 2048, 0}}) {
    expect_parity(named("embedding", {t.tokens, t.vocabulary, t.width, t.first_token}), [&](Side& side) {
      const Tensor ids = side.ids(token_ids(t.tokens, t.first_token + t.vocabulary + 500));
      const Tensor weight = side.input({t.vocabulary, t.width});
      side.backend.run(ops::EmbeddingForward{ids, weight, t.first_token,
                                             side.output("out", side.dtype(), {t.tokens, t.width}, kExact)});
      const Tensor dweight = side.updated("dweight", side.wide(), {t.vocabulary, t.width}, kF32);
      side.backend.run(ops::EmbeddingBackward{ids, side.input({t.tokens, t.width}), t.first_token, dweight});
    });
  }
}

// Every seventh row has no target, and the borders of the vocabulary are among the others.
std::vector<int32_t> target_ids(int64_t rows, int64_t vocabulary) {
  const RandomStream stream(parity_seed(), "target ids");
  std::vector<int32_t> ids(static_cast<size_t>(rows));
  for (uint64_t i = 0; i < ids.size(); ++i)
    ids[i] = i % 7 == 3 ? -1 : static_cast<int32_t>(stream.below(i, static_cast<uint64_t>(vocabulary)));
  ids.front() = 0;
  ids.back() = static_cast<int32_t>(vocabulary - 1);
  return ids;
}

// Log-sum-exp is of magnitude 16, half a step of which is 1e-6 of the loss and of every probability. And the CPU adds
// vocabulary / 16 positive terms per lane one by one, which costs it up to 1e-5 at 262144.
double loss_bound(int64_t vocabulary) {
  return 4e-6 + 1e-10 * static_cast<double>(vocabulary);
}
double logits_bound(DType dtype, int64_t vocabulary, float grad_scale) {
  if (grad_scale == 0) return kExact;  // they stay what they were
  return loss_bound(vocabulary) + (dtype == DType::kBF16 ? kBf16 : 0);
}

TEST_P(Parity, CrossEntropy) {
  for (const auto& [rows, vocabulary] : std::vector<std::pair<int64_t, int64_t>>{
           {150, 32000}, {60, 50257}, {50, 8192}, {8, 262144}, {500, 1003}, {3, 5}}) {
    for (const float grad_scale : {0.0f, 0.5f}) {
      expect_parity(named(fmt::format("cross entropy, scale {}", grad_scale), {rows, vocabulary}), [&](Side& side) {
        const double bound = logits_bound(side.dtype(), vocabulary, grad_scale);
        const Tensor logits = side.updated("logits", side.dtype(), {rows, vocabulary}, bound, 3.0);
        const Tensor losses = side.output("losses", side.wide(), {rows}, loss_bound(vocabulary));
        side.backend.run(ops::CrossEntropy{logits, side.ids(target_ids(rows, vocabulary)), losses, grad_scale});
      });
    }
  }
}

// Two slices, of which the first has all targets: the gradient of the second is a softmax and nothing else.
TEST_P(Parity, CrossEntropyInHalves) {
  for (const auto& [rows, first, second] : std::vector<std::array<int64_t, 3>>{{100, 16000, 16000}, {60, 999, 3004}}) {
    for (const float grad_scale : {0.0f, 2.0f}) {
      expect_parity(named(fmt::format("slices, scale {}", grad_scale), {rows, first, second}), [&](Side& side) {
        const double bound = logits_bound(side.dtype(), first + second, grad_scale);
        const Tensor ids = side.ids(target_ids(rows, first));
        const Tensor slices[] = {side.updated("slice 0", side.dtype(), {rows, first}, bound, 3.0),
                                 side.updated("slice 1", side.dtype(), {rows, second}, bound, 3.0)};
        const Tensor stats = side.output("stats", side.wide(), {2, rows, 3}, loss_bound(first + second));
        for (const int64_t rank : {0, 1})
          side.backend.run(
              ops::CrossEntropyStats{slices[rank], ids, rank * first, stats.rows(rank, 1).reshaped({rows, 3})});
        for (const int64_t rank : {0, 1})
          side.backend.run(ops::CrossEntropyFrom{slices[rank], ids, rank * first, stats,
                                                 side.output("losses", side.wide(), {rows}, loss_bound(first + second)),
                                                 grad_scale});
      });
    }
  }
}

TEST_P(Parity, Optimizer) {
  // A matrix of [1500, 1000] that grew by columns, a flat rest, and elements that belong to no block.
  constexpr int64_t kRows = 1500, kCols = 1000, kCount = 2000003, kRest = kRows * kCols + 17;
  const std::vector<UpdateBlock> blocks = {{0, 0, kRows, 768, kCols, 1e-3, 0.1, 40, 40},
                                           {768, 768, kRows, kCols - 768, kCols, 3e-3, 0.1, 2, 5},
                                           {kRest, kRest, 1, kCount - kRest, 0, 6e-4, 0.0, 1, 1}};
  for (const bool with_compute : {true, false}) {
    expect_parity(fmt::format("adamw, compute {}", with_compute), [&](Side& side) {
      const DType wide = side.wide();
      const Tensor grad = side.input_as(wide, {kCount});
      const Tensor squares = side.output("sum of squares", DType::kF64, {2}, 1e-12);
      side.backend.run(ops::SumSquares{grad, {{0, kRest}}, squares.flat(0, 1)});
      side.backend.run(
          ops::SumSquares{grad, {{kRest, 3}, {kRest + 7, kCount - kRest - 7}, {5, 0}}, squares.flat(1, 1)});
      const Tensor moment1 = side.updated("moment1", wide, {kCount}, kF32, 0.1);
      const Tensor moment2 = side.written("moment2", kF32, side.positive_as(wide, {kCount}, 0.1));
      const Tensor master = side.updated("master", wide, {kCount}, kF32, 0.02);
      const Tensor compute =
          with_compute ? side.updated("compute", side.dtype(), {kCount}, bound_of(side.dtype())) : Tensor();
      AdamW op;
      op.clip = 1.0;
      side.backend.run(ops::AdamWUpdate{op, blocks, squares, grad, moment1, moment2, master, compute, Tensor()});
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Parity, testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& param) { return std::string(name_of(param.param)); });

}  // namespace
}  // namespace nexus::test
