#include "support/point_sets.h"

#include <cmath>
#include <cstring>

#include "core/files.h"
#include "core/hash.h"
#include "core/rng.h"
#include "layers/matrix.h"

namespace nexus::testing {
namespace {

using nlohmann::json;

constexpr char kMagic[] = "point sets 1\n";

BatchFields input_fields(int64_t positions) {
  return {{"points", DType::kF32, {positions, kFeatures}}, {"lengths", DType::kI32, {}}};
}
// "shares": 1 / length for points that exist, else 0; "minus_target": what a prediction is added to for its error.
BatchFields output_fields(int64_t positions) {
  return {{"shares", DType::kF32, {positions}}, {"minus_target", DType::kF32, {1}}};
}

// A tensor of the compute type, converted from a field.
Tensor converted(const LayerContext& ctx, const Tensor& field) {
  const Tensor copy = ctx.alloc(field.shape);
  ctx.backend.run(ops::Copy{.from = field, .to = copy});
  return copy;
}

// x W^T of every point. W [D, kFeatures] is cut by rows over tensor-parallel ranks: each has some channels of D.
class PointEmbedding : public InputLayer {
 public:
  PointEmbedding(ParamTable& table, int64_t d) : weight_(table.add(spec(d))) {}

  BatchFields fields(int64_t positions) const override { return input_fields(positions); }
  Tensor lengths(const Batch& batch) const override { return batch.at("lengths"); }
  void forward(const LayerContext& ctx, const Batch& batch, const Tensor& out) const override {
    const Arena::Frame frame(ctx.arena);
    if (ctx.tp_size() > 1) ctx.backend.run(ops::Zero{out});
    ctx.backend.run(
        ops::MatMul{.a = points(ctx, batch), .b = Mat(ctx.params.weight(weight_)).t(), .c = channels(ctx, out)});
  }
  void backward(const LayerContext& ctx, const Batch& batch, const Tensor& dout) const override {
    const Arena::Frame frame(ctx.arena);
    ctx.backend.run(
        ops::MatMul{.a = channels(ctx, dout).t(), .b = points(ctx, batch), .c = ctx.params.grad(weight_), .beta = 1});
  }

 private:
  static ParamSpec spec(int64_t d) {
    ParamSpec spec = matrix_spec("points.weight", fixed_axis(d), fixed_axis(kFeatures), 0, 0.5);
    spec.part = ModelPart::kInput;
    return spec;
  }
  static Tensor points(const LayerContext& ctx, const Batch& batch) {
    return converted(ctx, batch.at("points")).reshaped({ctx.rows(), kFeatures});
  }
  // This rank's columns of the stream.
  Mat channels(const LayerContext& ctx, const Tensor& stream) const {
    const Box& local = ctx.params.table()[weight_].local;
    return Mat::view(stream, ctx.rows(), local.rows, stream.shape[1], local.begin_row);
  }
  int weight_;
};

// The mean of the points' rows times a vector, and the squared error. The vector is cut over tensor-parallel ranks.
class MeanRegression : public OutputLayer {
 public:
  MeanRegression(ParamTable& table, int64_t d) : weight_(table.add(spec(d))) {}

  BatchFields fields(int64_t positions) const override { return output_fields(positions); }
  int64_t losses_per_sample(int64_t) const override { return 1; }
  int64_t figures_per_sample(int64_t) const override { return 3; }  // squared error, target, its square
  int64_t predictions_per_sample(const ParamTable&, int64_t) const override { return 1; }

  void forward_backward(const LayerContext& ctx, const Tensor& x, const Batch& batch, double grad_scale,
                        const Tensor& losses) const override {
    const Arena::Frame frame(ctx.arena);
    const Tensor shares = converted(ctx, batch.at("shares")), pooled = pool(ctx, x, shares);
    const Tensor error = errors(ctx, pooled, batch);
    square(ctx, error, losses);
    // d loss / d prediction = 2 grad_scale error
    const Tensor derror = ctx.alloc(error.shape), dpooled = ctx.alloc(pooled.shape);
    ctx.backend.run(ops::MatMul{.a = error, .b = constant(ctx, 2 * grad_scale), .c = derror});
    ctx.backend.run(
        ops::MatMul{.a = Mat(derror).t(), .b = channels(ctx, pooled), .c = ctx.params.grad(weight_), .beta = 1});
    if (ctx.tp_size() > 1) ctx.backend.run(ops::Zero{dpooled});
    ctx.backend.run(ops::MatMul{.a = derror, .b = ctx.params.weight(weight_), .c = channels(ctx, dpooled)});
    const int64_t t = ctx.context, d = x.shape[1];
    ctx.backend.run(ops::MatMul{.a = Mat::view(shares, t, 1, 1).batched(ctx.batch, t),
                                .b = Mat::view(dpooled, 1, d, d).batched(ctx.batch, d),
                                .c = Mat::view(x, t, d, d).batched(ctx.batch, t * d)});
  }
  void evaluate(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& figures) const override {
    const Arena::Frame frame(ctx.arena);
    const Tensor pooled = pool(ctx, x, converted(ctx, batch.at("shares")));
    const Tensor minus_target = converted(ctx, batch.at("minus_target"));
    const Tensor numbers = ctx.alloc_wide({ctx.batch, 1});
    const auto put = [&](int64_t column) {
      ctx.backend.run(ops::CopyMatrix{.from = Mat::view(numbers, ctx.batch, 1, 1),
                                      .to = Mat::view(figures, ctx.batch, 1, 3, column)});
    };
    square(ctx, errors(ctx, pooled, batch), numbers);
    put(0);
    ctx.backend.run(ops::MatMul{.a = minus_target, .b = constant(ctx, -1), .c = numbers});
    put(1);
    square(ctx, minus_target, numbers);
    put(2);
  }
  void predict(const LayerContext& ctx, const Tensor& x, const Batch& batch, const Tensor& out) const override {
    const Arena::Frame frame(ctx.arena);
    const Tensor pooled = pool(ctx, x, converted(ctx, batch.at("shares")));
    multiply(ctx, pooled, out);
  }

 private:
  static ParamSpec spec(int64_t d) {
    ParamSpec spec = matrix_spec("regression.weight", fixed_axis(1), fixed_axis(d), 1, 0.1);
    spec.part = ModelPart::kOutput;
    return spec;
  }
  // [B, D]: the mean of each sample's rows.
  static Tensor pool(const LayerContext& ctx, const Tensor& x, const Tensor& shares) {
    const int64_t t = ctx.context, d = x.shape[1];
    const Tensor pooled = ctx.alloc({ctx.batch, d});
    ctx.backend.run(ops::MatMul{.a = Mat::view(shares, 1, t, t).batched(ctx.batch, t),
                                .b = Mat::view(x, t, d, d).batched(ctx.batch, t * d),
                                .c = Mat::view(pooled, 1, d, d).batched(ctx.batch, d)});
    return pooled;
  }
  // This rank's columns of [B, D].
  Mat channels(const LayerContext& ctx, const Tensor& pooled) const {
    const Box& local = ctx.params.table()[weight_].local;
    return Mat::view(pooled, ctx.batch, local.columns, pooled.shape[1], local.begin_column);
  }
  // predictions [B, 1], whole on every rank.
  void multiply(const LayerContext& ctx, const Tensor& pooled, const Tensor& predictions) const {
    ctx.backend.run(
        ops::MatMul{.a = channels(ctx, pooled), .b = Mat(ctx.params.weight(weight_)).t(), .c = predictions});
    if (ctx.tp_size() > 1) ctx.tp->all_reduce_sum(predictions);
  }
  // [B, 1]: prediction minus target.
  Tensor errors(const LayerContext& ctx, const Tensor& pooled, const Batch& batch) const {
    const Tensor error = ctx.alloc({ctx.batch, 1});
    multiply(ctx, pooled, error);
    ctx.backend.run(ops::Add{.x = converted(ctx, batch.at("minus_target")), .y = error});
    return error;
  }
  static void square(const LayerContext& ctx, const Tensor& values, const Tensor& squares) {
    const Mat each = Mat::view(values, 1, 1, 1).batched(ctx.batch, 1);
    ctx.backend.run(ops::MatMul{.a = each, .b = each, .c = Mat::view(squares, 1, 1, 1).batched(ctx.batch, 1)});
  }
  static Tensor constant(const LayerContext& ctx, double value) {
    const Tensor wide = ctx.alloc_wide({1, 1});
    const auto narrow = static_cast<float>(value);
    ctx.backend.copy_in(wide, wide.dtype == DType::kF64 ? static_cast<const void*>(&value) : &narrow);
    return converted(ctx, wide);
  }

  int weight_;
};

// The file: kMagic, then u64 sets, then for each set its length (u64), its target (f32) and
// kFeatures numbers (f32) for each of its points.
struct PointSet {
  float target = 0;
  std::vector<float> numbers;
  int64_t points() const { return static_cast<int64_t>(numbers.size()) / kFeatures; }
};

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}
  template <typename T>
  void get(T* values, size_t count) {
    NX_CHECK(at_ + count * sizeof(T) <= bytes_.size(), "{} of {} bytes", at_ + count * sizeof(T), bytes_.size());
    std::memcpy(values, bytes_.data() + at_, count * sizeof(T));
    at_ += count * sizeof(T);
  }
  template <typename T>
  T get() {
    T value;
    get(&value, 1);
    return value;
  }

 private:
  const std::string& bytes_;
  size_t at_ = 0;
};

class PointSetFile : public DataSet {
 public:
  PointSetFile(const std::string& path, int64_t positions) : path_(path), positions_(positions) {
    const std::string bytes = read_text_file(path, int64_t{1} << 30);
    digest_ = hash_text(bytes);
    bytes_ = static_cast<int64_t>(bytes.size());
    Reader reader(bytes);
    std::string magic(sizeof(kMagic) - 1, ' ');
    reader.get(magic.data(), magic.size());
    if (magic != kMagic) throw Error(ErrorKind::kData, "no file of point sets", path, "write it again");
    sets_.resize(reader.get<uint64_t>());
    for (PointSet& set : sets_) {
      set.numbers.resize(reader.get<uint64_t>() * kFeatures);
      set.target = reader.get<float>();
      reader.get(set.numbers.data(), set.numbers.size());
      if (set.points() > positions)
        throw Error(ErrorKind::kData, fmt::format("a set has {} points", set.points()), path, "raise data.context");
    }
  }

  const std::string& path() const override { return path_; }
  BatchFields fields() const override { return joined(input_fields(positions_), output_fields(positions_)); }
  int64_t count() const override { return static_cast<int64_t>(sets_.size()); }
  int64_t units() const override { return count() * positions_; }
  void fetch(int64_t index, const Batch& batch, int64_t row) const override {
    const PointSet& set = sets_.at(static_cast<size_t>(index));
    const auto floats = [&](const char* field) { return batch.at(field).rows(row, 1).as<float>(); };
    std::fill_n(floats("points"), positions_ * kFeatures, 0.0f);
    std::copy(set.numbers.begin(), set.numbers.end(), floats("points"));
    std::fill_n(floats("shares"), positions_, 0.0f);
    std::fill_n(floats("shares"), set.points(), 1.0f / static_cast<float>(set.points()));
    *floats("minus_target") = -set.target;
    *batch.at("lengths").rows(row, 1).as<int32_t>() = static_cast<int32_t>(set.points());
  }
  std::string index_digest() const override { return digest_; }
  std::string stamp() const override { return digest_; }
  int64_t content_bytes() const override { return bytes_; }
  std::unique_ptr<ContentReader> content_reader() const override { return std::make_unique<AllAtOnce>(*this); }
  bool holds_same(const DataSet& other) const override { return other.index_digest() == digest_; }

 private:
  // Everything was read when the file was opened.
  class AllAtOnce : public ContentReader {
   public:
    explicit AllAtOnce(const PointSetFile& file) : file_(file) {}
    bool read(int64_t) override { return false; }
    int64_t done_bytes() const override { return file_.bytes_; }
    DataContent content() const override { return {file_.digest_, "f32", json::object()}; }

   private:
    const PointSetFile& file_;
  };

  std::string path_, digest_;
  int64_t positions_, bytes_ = 0;
  std::vector<PointSet> sets_;
};

class PointSets : public Workload {
 public:
  const WorkloadWords& words() const override {
    static const WorkloadWords words{"point_sets", "points", "point", "sets", "squared error", WorkloadWords::kLoss};
    return words;
  }
  AttentionMask mask() const override { return AttentionMask::kFull; }
  bool has_positions() const override { return false; }

  std::unique_ptr<InputLayer> input_layer(const ModelConfig& config, ParamTable& table) const override {
    return std::make_unique<PointEmbedding>(table, config.d);
  }
  std::unique_ptr<OutputLayer> output_layer(const ModelConfig& config, const InputLayer&,
                                            ParamTable& table) const override {
    return std::make_unique<MeanRegression>(table, config.d);
  }

  // R^2 = 1 - sum of squared errors / sum of squared deviations of the targets from their mean.
  std::vector<Figure> metrics(const DataSet&, const Figure& loss, const std::vector<double>& sums) const override {
    const auto n = static_cast<double>(loss.count);
    const double deviations = sums[1] - sums[0] * sums[0] / n;
    return {{"r2", "", 1 - loss.value * n / deviations}};
  }

  std::string files() const override { return "point files"; }
  std::string files_advice() const override { return "write point files"; }
  std::vector<std::string> files_of(const std::string& path) const override { return {path}; }
  std::unique_ptr<const DataSet> open(const std::string& path, int64_t context, const ModelConfig&) const override {
    return std::make_unique<PointSetFile>(path, context);
  }
  FetchSample random_samples(int64_t, const ModelConfig&, uint64_t) const override {
    throw Error(ErrorKind::kConfig, "point sets are not timed", "nexus bench", "bench a model of text");
  }
  std::string check_descriptions(const std::vector<NamedDataSet>&, const Encoder&, const ModelConfig&) const override {
    return "";
  }
  void check_contents(const std::vector<NamedDataSet>&, const std::vector<DataContent>&, const Encoder&,
                      const ModelConfig&) const override {}
  json describe(const DataSet& set, const DataContent& content) const override {
    return {{"path", set.path()}, {"sets", set.count()}, {"digest", content.digest}};
  }
  json describe(const ModelConfig&) const override { return json::object(); }
  std::string overlap_warning(const DataSet& valid, const DataSet& train) const override {
    return valid.holds_same(train) ? valid.path() + " is trained on" : "";
  }
};

template <typename T>
void append(std::string& bytes, const T* values, size_t count) {
  bytes.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

}  // namespace

void write_point_sets(const std::string& path, const std::vector<std::vector<float>>& sets,
                      const std::vector<float>& targets) {
  std::string bytes = kMagic;
  const uint64_t count = sets.size();
  append(bytes, &count, 1);
  for (size_t i = 0; i < sets.size(); ++i) {
    const uint64_t points = sets[i].size() / kFeatures;
    append(bytes, &points, 1);
    append(bytes, &targets[i], 1);
    append(bytes, sets[i].data(), sets[i].size());
  }
  write_file_durably(path, bytes);
}

void write_random_point_sets(const std::string& path, int64_t sets, int64_t most, uint64_t seed) {
  const RandomStream random(seed, "point sets");
  uint64_t next = 0;
  std::vector<std::vector<float>> numbers;
  std::vector<float> targets;
  for (int64_t i = 0; i < sets; ++i) {
    const auto points = static_cast<size_t>(1 + random.below(next++, static_cast<uint64_t>(most)));
    std::vector<float> set(points * kFeatures);
    float sum = 0;
    for (size_t k = 0; k < set.size(); ++k) {
      set[k] = static_cast<float>(2 * random.uniform(next++) - 1);
      if (k % kFeatures == 0) sum += set[k] * set[k];
    }
    numbers.push_back(std::move(set));
    targets.push_back(sum / static_cast<float>(points));
  }
  write_point_sets(path, numbers, targets);
}

const Workload& point_sets() {
  static const PointSets workload;
  return workload;
}

}  // namespace nexus::testing
