// The one file that knows oneDNN, and the difference between its 2.x and 3.x interfaces.
#include "backend/cpu/matmul.h"

#include <array>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>

namespace nexus::cpu {

namespace {

dnnl::memory::data_type onednn_type(DType dtype) {
  return dtype == DType::kBF16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// A product without a batch is described by two axes: oneDNN has its fastest paths there.
dnnl::memory::desc describe(const Mat& m) {
  const int64_t row_stride = m.transposed ? 1 : m.ld, column_stride = m.transposed ? m.ld : 1;
  if (m.batch == 1) return {{m.logical_rows(), m.logical_cols()}, onednn_type(m.dtype), {row_stride, column_stride}};
  return {
      {m.batch, m.logical_rows(), m.logical_cols()}, onednn_type(m.dtype), {m.batch_stride, row_stride, column_stride}};
}

#if DNNL_VERSION_MAJOR >= 3
dnnl::matmul::primitive_desc make_primitive_desc(const dnnl::engine& engine, const dnnl::memory::desc& a,
                                                 const dnnl::memory::desc& b, const dnnl::memory::desc& c,
                                                 const dnnl::primitive_attr& attributes) {
  return {engine, a, b, c, attributes};
}
#else
dnnl::matmul::primitive_desc make_primitive_desc(const dnnl::engine& engine, const dnnl::memory::desc& a,
                                                 const dnnl::memory::desc& b, const dnnl::memory::desc& c,
                                                 const dnnl::primitive_attr& attributes) {
  return {dnnl::matmul::desc(a, b, c), attributes, engine};
}
#endif

// A generated product with its three operands; `primitive` is empty where oneDNN has only its reference loops, which
// are slower than converting for OpenBLAS.
struct Product {
  dnnl::matmul primitive;
  dnnl::memory a, b, c;
  bool usable = false;
};

using Key = std::array<int64_t, 18>;

Key key_of(const Mat& a, const Mat& b, const Mat& c, float beta) {
  Key key{};
  size_t at = 0;
  for (const Mat* m : {&a, &b, &c}) {
    const int64_t kind = static_cast<int64_t>(m->dtype) * 2 + (m->transposed ? 1 : 0);
    // The stride of a single matrix means nothing.
    for (const int64_t value : {m->rows, m->cols, m->ld, m->batch > 1 ? m->batch_stride : 0, kind}) key[at++] = value;
  }
  key[at++] = c.batch;
  key[at++] = beta != 0 ? 1 : 0;
  return key;
}

class OneDnnMatmulImpl final : public OneDnnMatmul {
 public:
  bool run(const Mat& a, const Mat& b, const Mat& c, float beta) override {
    if (a.dtype == DType::kF64) return false;
    Product& product = find(a, b, c, beta);
    if (!product.usable) return false;
    product.a.set_data_handle(a.data);
    product.b.set_data_handle(b.data);
    product.c.set_data_handle(c.data);
    product.primitive.execute(stream_,
                              {{DNNL_ARG_SRC, product.a}, {DNNL_ARG_WEIGHTS, product.b}, {DNNL_ARG_DST, product.c}});
    stream_.wait();
    return true;
  }

  std::string description() const override {
    const dnnl_version_t* version = dnnl_version();
    return fmt::format("oneDNN {}.{}.{} ({})", version->major, version->minor, version->patch, isa());
  }

  bool has_native_bf16() const override {
    // Each set's value contains the bits of the sets below it, also of sets that this version cannot name.
    const auto has = [](dnnl::cpu_isa least) {
      const int bits = static_cast<int>(least);
      return (static_cast<int>(dnnl::get_effective_cpu_isa()) & bits) == bits;
    };
    return has(dnnl::cpu_isa::avx512_core_bf16);
  }

 private:
  // Shapes come from the model and the batch, so a run has tens of them; an evaluation of documents of every length
  // could have many, hence the limit.
  static constexpr size_t kMostProducts = 1024;

  static std::string isa() {
    switch (dnnl::get_effective_cpu_isa()) {
      case dnnl::cpu_isa::sse41: return "sse41";
      case dnnl::cpu_isa::avx: return "avx";
      case dnnl::cpu_isa::avx2: return "avx2";
      case dnnl::cpu_isa::avx2_vnni: return "avx2_vnni";
      case dnnl::cpu_isa::avx512_core: return "avx512_core";
      case dnnl::cpu_isa::avx512_core_vnni: return "avx512_core_vnni";
      case dnnl::cpu_isa::avx512_core_bf16: return "avx512_core_bf16";
      case dnnl::cpu_isa::avx512_core_amx: return "avx512_core_amx";
      default: return fmt::format("isa {:#x}", static_cast<int>(dnnl::get_effective_cpu_isa()));
    }
  }

  Product& find(const Mat& a, const Mat& b, const Mat& c, float beta) {
    const Key key = key_of(a, b, c, beta);
    const auto found = products_.find(key);
    if (found != products_.end()) return found->second;
    if (products_.size() >= kMostProducts) products_.clear();
    return products_.emplace(key, make_product(a, b, c, beta)).first->second;
  }

  Product make_product(const Mat& a, const Mat& b, const Mat& c, float beta) const {
    dnnl::primitive_attr attributes;
    if (beta != 0) {
      dnnl::post_ops add;
      add.append_sum(beta);
      attributes.set_post_ops(add);
    }
    Product product;
    try {
      const auto primitive_desc = make_primitive_desc(engine_, describe(a), describe(b), describe(c), attributes);
      if (std::string(primitive_desc.impl_info_str()).find("ref") != std::string::npos) return product;
      product.primitive = dnnl::matmul(primitive_desc);
    } catch (const dnnl::error& error) {
      if (error.status == dnnl_unimplemented) return product;
      throw Error(ErrorKind::kInternal, fmt::format("oneDNN cannot make a matrix product: {}", error.what()));
    }
    product.a = dnnl::memory(describe(a), engine_, nullptr);
    product.b = dnnl::memory(describe(b), engine_, nullptr);
    product.c = dnnl::memory(describe(c), engine_, nullptr);
    product.usable = true;
    return product;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::map<Key, Product> products_;
};

}  // namespace

std::unique_ptr<OneDnnMatmul> OneDnnMatmul::make() {
  return std::make_unique<OneDnnMatmulImpl>();
}

std::vector<LibraryVersion> onednn_libraries() {
  const dnnl_version_t* loaded = dnnl_version();
  return {{"oneDNN", fmt::format("{}.{}.{}", DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH),
           fmt::format("{}.{}.{}", loaded->major, loaded->minor, loaded->patch)}};
}

}  // namespace nexus::cpu
