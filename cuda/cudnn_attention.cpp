#include "cuda/cudnn_attention.h"

#ifdef NEXUS_WITH_CUDNN

#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
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
enum Id : int64_t { kQ = 1, kK, kV, kOut, kLogsumexp, kDout, kDq, kDk, kDv };

using Key = std::array<int64_t, 6>;
Key key_of(const Attention& op) {
  return {op.batch, op.context, op.heads, op.kv_heads, op.head_dim, op.ld};
}

std::string text_of(const Attention& op) {
  return fmt::format("{} sequences of {} tokens, {} heads of {} on {} key heads", op.batch, op.context, op.heads,
                     op.head_dim, op.kv_heads);
}

// What cuDNN can never do, so that nobody need be told.
bool possible(const Attention& op, DType dtype) {
  const int64_t elements = CudnnAttention::kAlignment / size_of(DType::kBF16);
  return dtype == DType::kBF16 && op.head_dim % elements == 0 && op.head_dim <= 256 && op.ld % elements == 0 &&
         op.context > 1;
}

// "VERSION" of 91400 and the like.
std::string version_text(size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

// The library's words, which may be many, on one line.
std::string message_of(fe::error_t status) {
  std::string text = status.get_message().substr(0, 300);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

void check(const fe::error_t& status, const Attention& op) {
  if (status.is_bad())
    throw Error(ErrorKind::kDevice, "cuDNN's attention failed: " + message_of(status), text_of(op),
                "run again; if it fails again, try another version of cuDNN");
}

// The dimensions of our layouts in cuDNN's order: batch, head, token, element.
class Layout {
 public:
  explicit Layout(const Attention& op) : op_(op) {}
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

 private:
  static fe::graph::Tensor_attributes tensor(const char* name, Id id, const std::vector<int64_t>& extents,
                                             const std::vector<int64_t>& strides) {
    return fe::graph::Tensor_attributes().set_name(name).set_uid(id).set_dim(extents).set_stride(strides);
  }
  const Attention& op_;
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

// Query t sees keys up to t: a diagonal from the top left, nothing to its right. The implementation stays the library's
// choice, because the fused operation has a mask in late versions of cuDNN only.
template <typename Attributes>
Attributes causal(const Attention& op, const char* name) {
  Attributes attributes;
  attributes.set_name(name)
      .set_attn_scale(1.0f / std::sqrt(static_cast<float>(op.head_dim)))
      .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
      .set_diagonal_band_right_bound(0);
  return attributes;
}

// Its statistics are the natural logarithm of the sum of exp(scaled score), the logsumexp of attention.cu.
std::shared_ptr<Graph> forward_graph(const Attention& op) {
  const Layout layout(op);
  const std::shared_ptr<Graph> graph = empty_graph();
  const auto [out, statistics] =
      graph->sdpa(graph->tensor(layout.packed("q", kQ, op.heads)), graph->tensor(layout.packed("k", kK, op.kv_heads)),
                  graph->tensor(layout.packed("v", kV, op.kv_heads)),
                  causal<fe::graph::SDPA_attributes>(op, "attention").set_generate_stats(true));
  set_output(out, layout.dense("out", kOut));
  set_output(statistics, layout.statistics("logsumexp", kLogsumexp));
  return graph;
}

std::shared_ptr<Graph> backward_graph(const Attention& op, bool deterministic) {
  const Layout layout(op);
  const std::shared_ptr<Graph> graph = empty_graph();
  const auto [dq, dk, dv] = graph->sdpa_backward(
      graph->tensor(layout.packed("q", kQ, op.heads)), graph->tensor(layout.packed("k", kK, op.kv_heads)),
      graph->tensor(layout.packed("v", kV, op.kv_heads)), graph->tensor(layout.dense("out", kOut)),
      graph->tensor(layout.dense("dout", kDout)), graph->tensor(layout.statistics("logsumexp", kLogsumexp)),
      causal<fe::graph::SDPA_backward_attributes>(op, "attention_backward").set_deterministic_algorithm(deterministic));
  set_output(dq, layout.packed("dq", kDq, op.heads));
  set_output(dk, layout.packed("dk", kDk, op.kv_heads));
  set_output(dv, layout.packed("dv", kDv, op.kv_heads));
  return graph;
}

// Chooses and compiles the kernels of a graph.
fe::error_t build(Graph& graph, cudnnHandle_t handle) {
  fe::error_t status = graph.validate();
  if (status.is_good()) status = graph.build_operation_graph(handle);
  if (status.is_good()) status = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
  if (status.is_good()) status = graph.check_support();
  if (status.is_good()) status = graph.build_plans();
  return status;
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

  bool supports(const Attention& op, DType dtype) { return possible(op, dtype) && plans_of(op).usable(); }

  void forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
               const Tensor& logsumexp) {
    const Plans& plans = plans_of(op);
    NX_CHECK(plans.usable(), "{}", text_of(op));
    run(op, *plans.forward,
        {{kQ, aligned(q, 0)},
         {kK, aligned(k, 0)},
         {kV, aligned(v, 0)},
         {kOut, aligned(out, 0)},
         {kLogsumexp, aligned(logsumexp, 0)}});
  }

  void backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                const Tensor& out, const Tensor& logsumexp, const Tensor& dq, const Tensor& dk, const Tensor& dv) {
    const Plans& plans = plans_of(op);
    NX_CHECK(plans.usable(), "{}", text_of(op));
    for (int64_t first = 0; first < op.batch; first += plans.sequences) {
      const int64_t packed = first * op.context * op.ld, dense = first * op.context * op.heads * op.head_dim;
      run(op, *plans.backward,
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
  struct Plans {
    std::shared_ptr<Graph> forward, backward;
    int64_t sequences = 0;  // of one launch of `backward`
    bool usable() const { return backward != nullptr; }
  };

  const Plans& plans_of(const Attention& op) {
    const auto found = plans_.find(key_of(op));
    if (found != plans_.end()) return found->second;
    Plans plans;
    std::string reason;
    try {
      plans = build_plans(op, reason);
    } catch (const std::exception& error) {  // parts of the frontend throw
      reason = error.what();
    }
    if (!plans.usable()) {
      plans = {};
      refusal_ = text_of(op) + ": " + reason;
      warn("cuDNN has no attention for {}: {}; nexus takes its own kernels, which are much slower", text_of(op),
           reason);
    }
    return plans_.emplace(key_of(op), std::move(plans)).first->second;
  }

  // Leaves `backward` empty and says why where there is no plan.
  Plans build_plans(const Attention& op, std::string& reason) {
    cudnnStatus_t ready = handle_ == nullptr ? cudnnCreate(&handle_) : CUDNN_STATUS_SUCCESS;
    if (ready == CUDNN_STATUS_SUCCESS) ready = cudnnSetStream(handle_, queue_.stream());
    if (ready != CUDNN_STATUS_SUCCESS) {
      reason = cudnnGetErrorString(ready);
      return {};
    }
    Plans plans;
    plans.forward = forward_graph(op);
    if (const fe::error_t status = build(*plans.forward, handle_); status.is_bad()) {
      reason = message_of(status);
      return {};
    }
    for (int64_t most = op.batch;;) {
      Attention part = op;
      part.batch = plans.sequences = largest_divisor(op.batch, most);
      const std::shared_ptr<Graph> graph = backward_graph(part, deterministic_);
      if (const fe::error_t status = build(*graph, handle_); status.is_bad()) {
        reason = message_of(status);
        return {};
      }
      const int64_t bytes = graph->get_workspace_size();
      if (part.batch == 1 || bytes <= kWorkspaceBudget) {
        plans.backward = graph;
        return plans;
      }
      most = std::min(part.batch - 1, kWorkspaceBudget / (bytes / part.batch));
    }
  }

  void run(const Attention& op, const Graph& graph, std::unordered_map<int64_t, void*> tensors) {
    const int64_t bytes = graph.get_workspace_size();
    check(graph.execute(handle_, tensors, bytes > 0 ? queue_.scratch(bytes) : nullptr), op);
  }

  Queue& queue_;
  bool deterministic_;
  cudnnHandle_t handle_ = nullptr;  // made when first needed: it takes memory
  std::map<Key, Plans> plans_;
  std::string refusal_;  // the last one
};

}  // namespace nexus::cuda

#else

namespace nexus::cuda {

class CudnnAttention::Impl {
 public:
  Impl(Queue&, bool) {}
  bool supports(const Attention&, DType) { return false; }
  void forward(const Attention&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
    NX_CHECK(false, "cuDNN is not in this build");
  }
  void backward(const Attention&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
    NX_CHECK(false, "cuDNN is not in this build");
  }
  std::string description() const { return "no cuDNN in this build"; }
};

}  // namespace nexus::cuda

#endif

namespace nexus::cuda {

CudnnAttention::CudnnAttention(Queue& queue, bool deterministic)
    : impl_(std::make_unique<Impl>(queue, deterministic)) {}

CudnnAttention::~CudnnAttention() = default;

bool CudnnAttention::supports(const Attention& op, DType dtype) {
  return impl_->supports(op, dtype);
}

void CudnnAttention::forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                             const Tensor& logsumexp) {
  impl_->forward(op, q, k, v, out, logsumexp);
}

void CudnnAttention::backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k,
                              const Tensor& v, const Tensor& out, const Tensor& logsumexp, const Tensor& dq,
                              const Tensor& dk, const Tensor& dv) {
  impl_->backward(op, dout, q, k, v, out, logsumexp, dq, dk, dv);
}

std::string CudnnAttention::description() const {
  return impl_->description();
}

}  // namespace nexus::cuda
