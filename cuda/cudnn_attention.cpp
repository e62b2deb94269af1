#include "cuda/cudnn_attention.h"

#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "core/log.h"

namespace nexus::cuda {

namespace {

namespace fe = cudnn_frontend;
using fe::graph::Graph;
using TensorOfGraph = std::shared_ptr<fe::graph::Tensor_attributes>;

// Backward launches of a shape take as many sequences at once as this holds, at least one. Only the deterministic
// algorithm needs much: 2 bytes per score, 400 MB for a sequence of 4096 tokens and 12 heads.
constexpr int64_t kWorkspaceBudget = int64_t{1} << 30;

// Names of a graph's tensors when it runs.
enum Id : int64_t { kQ = 1, kK, kV, kOut, kLogsumexp, kDout, kDq, kDk, kDv, kQueryLengths, kKeyLengths };

// What a graph is built for.
struct Problem : Attention {
  bool has_lengths = false;
};
Problem problem_of(const auto& call) {
  return {call.options, call.lengths.defined()};
}

using Key = std::array<int64_t, 8>;
Key key_of(const Problem& op) {
  return {op.batch, op.context, op.heads, op.kv_heads, op.head_dim, op.ld, op.causal(), op.has_lengths};
}

std::string text_of(const Problem& op) {
  return fmt::format("{} sequences of {} tokens, {} heads of {} on {} key heads{}", op.batch, op.context, op.heads,
                     op.head_dim, op.kv_heads,
                     op.causal()      ? ""
                     : op.has_lengths ? ", all to all, with lengths"
                                      : ", all to all");
}

// What cuDNN can never do, so that nobody need be told.
bool possible(const Problem& op, DType dtype) {
  const int64_t elements = CudnnAttention::kAlignment / size_of(DType::kBF16);
  return dtype == DType::kBF16 && op.head_dim % elements == 0 && op.head_dim <= 256 && op.ld % elements == 0 &&
         op.context > 1;
}

// "VERSION" of 91400 and the like.
std::string version_text(size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

// The library's words, which may be many, on one line.
std::string one_line(std::string text) {
  text = text.substr(0, 300);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

bool has_any(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return text.find(word) != std::string::npos; });
}

// The frontend has one code for whatever cuDNN answers. The status is in the text, by its name.
bool lacks_memory(const std::string& text) {
  return has_any(text, {"ALLOC_FAILED", "ALLOCATION_FAILED", "out of memory"});
}

[[noreturn]] void fail(const std::string& text, const std::string& where) {
  cudaGetLastError();  // told here, not by the next launch
  const bool memory = lacks_memory(text);
  throw Error(
      memory ? ErrorKind::kConfig : ErrorKind::kDevice, "cuDNN's attention failed: " + one_line(text), where,
      memory ? kMemoryCure : "run again; if it fails again, try another version of cuDNN or of the GPU's driver");
}

void check(fe::error_t status, const Problem& op) {
  if (status.is_bad()) fail(status.get_message(), text_of(op));
}

void check(cudnnStatus_t status, const char* operation) {
  if (status != CUDNN_STATUS_SUCCESS)
    fail(fmt::format("{}: {}", operation, cudnnGetErrorString(status)), "cuDNN " + version_text(cudnnGetVersion()));
}

// The dimensions of our layouts in cuDNN's order: batch, head, token, element.
class Layout {
 public:
  explicit Layout(const Problem& op) : op_(op) {}
  fe::graph::Tensor_attributes packed(const char* name, Id id, int64_t heads) const {
    return tensor(name, id, {op_.batch, heads, op_.context, op_.head_dim},
                  {op_.context * op_.ld, op_.head_dim, op_.ld, 1});
  }
  fe::graph::Tensor_attributes dense(const char* name, Id id) const {
    const int64_t row = op_.heads * op_.head_dim;
    return tensor(name, id, {op_.batch, op_.heads, op_.context, op_.head_dim},
                  {op_.context * row, op_.head_dim, row, 1});
  }
  fe::graph::Tensor_attributes statistics(const char* name, Id id) const {
    return tensor(name, id, {op_.batch, op_.heads, op_.context, 1}, {op_.heads * op_.context, op_.context, 1, 1})
        .set_data_type(fe::DataType_t::FLOAT);
  }
  fe::graph::Tensor_attributes lengths(const char* name, Id id) const {
    return tensor(name, id, {op_.batch, 1, 1, 1}, {1, 1, 1, 1}).set_data_type(fe::DataType_t::INT32);
  }

 private:
  static fe::graph::Tensor_attributes tensor(const char* name, Id id, const std::vector<int64_t>& extents,
                                             const std::vector<int64_t>& strides) {
    return fe::graph::Tensor_attributes().set_name(name).set_uid(id).set_dim(extents).set_stride(strides);
  }
  const Problem& op_;
};

// Makes a tensor that an operation returned an output of the graph, laid out as `like` says.
void set_output(const TensorOfGraph& tensor, const fe::graph::Tensor_attributes& like) {
  tensor->set_output(true)
      .set_name(like.get_name())
      .set_uid(like.get_uid())
      .set_dim(like.get_dim())
      .set_stride(like.get_stride());
  if (like.get_data_type() != fe::DataType_t::NOT_SET) tensor->set_data_type(like.get_data_type());
}

std::shared_ptr<Graph> empty_graph() {
  auto graph = std::make_shared<Graph>();
  graph->set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  return graph;
}

// Causal: query t sees keys up to t, a diagonal from the top left, nothing to its right. Lengths: tokens beyond them
// are padding. The implementation stays the library's choice, because the fused operation has masks in late versions of
// cuDNN only.
template <typename Attributes>
Attributes masked(const Problem& op, Graph& graph, const char* name) {
  Attributes attributes;
  attributes.set_name(name).set_attn_scale(1.0f / std::sqrt(static_cast<float>(op.head_dim)));
  if (op.causal())
    attributes.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT).set_diagonal_band_right_bound(0);
  const Layout layout(op);
  if (op.has_lengths)
    attributes.set_padding_mask(true)
        .set_seq_len_q(graph.tensor(layout.lengths("query_lengths", kQueryLengths)))
        .set_seq_len_kv(graph.tensor(layout.lengths("key_lengths", kKeyLengths)));
  return attributes;
}

// Its statistics are the natural logarithm of the sum of exp(scaled score), the logsumexp of attention.cu.
std::shared_ptr<Graph> forward_graph(const Problem& op) {
  const Layout layout(op);
  const std::shared_ptr<Graph> graph = empty_graph();
  const auto [out, statistics] =
      graph->sdpa(graph->tensor(layout.packed("q", kQ, op.heads)), graph->tensor(layout.packed("k", kK, op.kv_heads)),
                  graph->tensor(layout.packed("v", kV, op.kv_heads)),
                  masked<fe::graph::SDPA_attributes>(op, *graph, "attention").set_generate_stats(true));
  set_output(out, layout.dense("out", kOut));
  set_output(statistics, layout.statistics("logsumexp", kLogsumexp));
  return graph;
}

std::shared_ptr<Graph> backward_graph(const Problem& op, bool deterministic) {
  const Layout layout(op);
  const std::shared_ptr<Graph> graph = empty_graph();
  const auto [dq, dk, dv] = graph->sdpa_backward(
      graph->tensor(layout.packed("q", kQ, op.heads)), graph->tensor(layout.packed("k", kK, op.kv_heads)),
      graph->tensor(layout.packed("v", kV, op.kv_heads)), graph->tensor(layout.dense("out", kOut)),
      graph->tensor(layout.dense("dout", kDout)), graph->tensor(layout.statistics("logsumexp", kLogsumexp)),
      masked<fe::graph::SDPA_backward_attributes>(op, *graph, "attention_backward")
          .set_deterministic_algorithm(deterministic));
  set_output(dq, layout.packed("dq", kDq, op.heads));
  set_output(dk, layout.packed("dk", kDk, op.kv_heads));
  set_output(dv, layout.packed("dv", kDv, op.kv_heads));
  return graph;
}

// Whether a bad status is the library's no to a shape. While it looks for engines everything is that but what speaks of
// the device; once it has one and compiles it, only what says so.
bool is_refusal(fe::error_t status, bool compiling) {
  using Code = fe::error_code_t;
  const Code code = status.get_code();
  const std::string text = status.get_message();
  if (code == Code::CUDA_API_FAILED || code == Code::INVALID_CUDA_DEVICE || code == Code::HANDLE_ERROR) return false;
  if (lacks_memory(text)) return false;
  if (code == Code::GRAPH_NOT_SUPPORTED || text.find("STATUS_NOT_SUPPORTED") != std::string::npos) return true;
  return !compiling && !has_any(text, {"STATUS_INTERNAL_ERROR", "STATUS_EXECUTION_FAILED", "STATUS_NOT_INITIALIZED",
                                       "STATUS_SUBLIBRARY"});
}

// Parts of the frontend throw: what cuDNN answered, with the status in the text, or that they know no way to compose an
// operation.
template <typename Step>
fe::error_t status_of(const Step& step) {
  try {
    return step();
  } catch (const fe::cudnnException& error) {
    return {fe::error_code_t::CUDNN_BACKEND_API_FAILED, error.what()};
  } catch (const std::runtime_error& error) {
    return {fe::error_code_t::GRAPH_NOT_SUPPORTED, error.what()};
  }
}

// The graph that `make` describes, its kernels chosen and compiled. Null where cuDNN refuses it, for `refusal`.
template <typename Make>
std::shared_ptr<Graph> build(const Problem& op, cudnnHandle_t handle, std::string& refusal, const Make& make) {
  std::shared_ptr<Graph> graph;
  fe::error_t status = status_of([&] {
    graph = make();
    fe::error_t step = graph->validate();
    if (step.is_good()) step = graph->build_operation_graph(handle);
    if (step.is_good()) step = graph->create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
    if (step.is_good()) step = graph->check_support();
    return step;
  });
  const bool compiling = status.is_good();
  if (compiling) status = status_of([&] { return graph->build_plans(); });
  if (status.is_good()) return graph;
  if (!is_refusal(status, compiling)) check(status, op);
  cudaGetLastError();  // an answer, not a pending error
  refusal = one_line(status.get_message());
  return nullptr;
}

// The largest divisor of `count` that is not above `most`, which may be 0: at least 1.
int64_t largest_divisor(int64_t count, int64_t most) {
  int64_t divisor = std::max(int64_t{1}, most);
  while (count % divisor != 0) --divisor;
  return divisor;
}

// A pointer into a tensor, `offset` elements on, as cuDNN takes it.
void* aligned(const Tensor& tensor, int64_t offset) {
  char* pointer = static_cast<char*>(tensor.data) + offset * size_of(tensor.dtype);
  NX_CHECK(tensor.dtype != DType::kBF16 || reinterpret_cast<std::uintptr_t>(pointer) % CudnnAttention::kAlignment == 0,
           "cuDNN needs tensors on boundaries of {} bytes", CudnnAttention::kAlignment);
  return pointer;
}

}  // namespace

class CudnnAttention::Impl {
 public:
  Impl(Queue& queue, bool deterministic) : queue_(queue), deterministic_(deterministic) {}
  ~Impl() {
    if (handle_ != nullptr) cudnnDestroy(handle_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool supports_forward(const Problem& op, DType dtype) { return possible(op, dtype) && forward_plan(op).graph; }
  bool supports_backward(const Problem& op, DType dtype) { return possible(op, dtype) && backward_plan(op).graph; }

  void forward(const ops::AttentionForward& call) {
    const auto& [options, q, k, v, out, logsumexp, lengths] = call;
    const Problem op = problem_of(call);
    run(op, forward_plan(op), lengths, 0,
        {{kQ, aligned(q, 0)},
         {kK, aligned(k, 0)},
         {kV, aligned(v, 0)},
         {kOut, aligned(out, 0)},
         {kLogsumexp, aligned(logsumexp, 0)}});
  }

  void backward(const ops::AttentionBackward& call) {
    const auto& [options, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv, lengths] = call;
    const Problem op = problem_of(call);
    const Plan& plan = backward_plan(op);
    for (int64_t first = 0; first < op.batch; first += plan.sequences) {
      const int64_t packed = first * op.context * op.ld, dense = first * op.context * op.heads * op.head_dim;
      run(op, plan, lengths, first,
          {{kQ, aligned(q, packed)},
           {kK, aligned(k, packed)},
           {kV, aligned(v, packed)},
           {kOut, aligned(out, dense)},
           {kDout, aligned(dout, dense)},
           {kLogsumexp, aligned(logsumexp, first * op.heads * op.context)},
           {kDq, aligned(dq, packed)},
           {kDk, aligned(dk, packed)},
           {kDv, aligned(dv, packed)}});
    }
  }

  // The frontend decides how cuDNN is asked, and so has a say in the bits.
  std::string description() const {
    const std::string text =
        "cuDNN " + version_text(cudnnGetVersion()) + ", frontend " + version_text(CUDNN_FRONTEND_VERSION);
    return refusal_.empty() ? text : text + " (not for " + refusal_ + ")";
  }

 private:
  struct Plan {
    std::shared_ptr<Graph> graph;  // none: cuDNN refuses
    int64_t sequences = 0;         // of one launch
  };
  using Plans = std::map<Key, Plan>;

  const Plan& forward_plan(const Problem& op) {
    const auto found = forward_.find(key_of(op));
    if (found != forward_.end()) return found->second;
    std::string refusal;
    Plan plan{build(op, handle(), refusal, [&] { return forward_graph(op); }), op.batch};
    return keep(forward_, op, std::move(plan), "forward", refusal);
  }

  const Plan& backward_plan(const Problem& op) {
    const auto found = backward_.find(key_of(op));
    if (found != backward_.end()) return found->second;
    std::string refusal;
    Plan plan;
    for (int64_t most = op.batch;;) {
      Problem part = op;
      part.batch = plan.sequences = largest_divisor(op.batch, most);
      plan.graph = build(part, handle(), refusal, [&] { return backward_graph(part, deterministic_); });
      if (plan.graph == nullptr) break;
      const int64_t bytes = plan.graph->get_workspace_size();
      if (part.batch == 1 || bytes <= kWorkspaceBudget) break;
      most = std::min(part.batch - 1, kWorkspaceBudget / (bytes / part.batch));
    }
    return keep(backward_, op, std::move(plan), "backward", refusal);
  }

  const Plan& keep(Plans& plans, const Problem& op, Plan plan, const char* direction, const std::string& refusal) {
    if (plan.graph == nullptr) {
      refusal_ = fmt::format("{}, {}: {}", text_of(op), direction, refusal);
      warn("cuDNN has no {} attention for {}: {}; nexus takes its own kernels, which are much slower", direction,
           text_of(op), refusal);
    }
    return plans.emplace(key_of(op), std::move(plan)).first->second;
  }

  cudnnHandle_t handle() {
    if (handle_ == nullptr) check(cudnnCreate(&handle_), "cudnnCreate");
    check(cudnnSetStream(handle_, queue_.stream()), "cudnnSetStream");
    return handle_;
  }

  // `first` is the launch's first sequence.
  void run(const Problem& op, const Plan& plan, const Tensor& lengths, int64_t first,
           std::unordered_map<int64_t, void*> tensors) {
    NX_CHECK(plan.graph != nullptr, "{}", text_of(op));
    if (op.has_lengths) tensors[kQueryLengths] = tensors[kKeyLengths] = aligned(lengths, first);
    const int64_t bytes = plan.graph->get_workspace_size();
    check(plan.graph->execute(handle_, tensors, bytes > 0 ? queue_.scratch(bytes) : nullptr), op);
  }

  Queue& queue_;
  bool deterministic_;
  cudnnHandle_t handle_ = nullptr;  // made when first needed: it takes memory
  Plans forward_, backward_;
  std::string refusal_;  // the last one
};

CudnnAttention::CudnnAttention(Queue& queue, bool deterministic)
    : impl_(std::make_unique<Impl>(queue, deterministic)) {}

CudnnAttention::~CudnnAttention() = default;

bool CudnnAttention::supports_forward(const Attention& op, DType dtype, bool with_lengths) {
  return impl_->supports_forward({op, with_lengths}, dtype);
}

bool CudnnAttention::supports_backward(const Attention& op, DType dtype, bool with_lengths) {
  return impl_->supports_backward({op, with_lengths}, dtype);
}

void CudnnAttention::run(const ops::AttentionForward& op) {
  impl_->forward(op);
}

void CudnnAttention::run(const ops::AttentionBackward& op) {
  impl_->backward(op);
}

std::string CudnnAttention::description() const {
  return impl_->description();
}

std::vector<LibraryVersion> cudnn_libraries() {
  return {{"cuDNN", version_text(CUDNN_VERSION), version_text(cudnnGetVersion())}};
}

}  // namespace nexus::cuda
