// What a model is: widths and choices of all three architectures (docs/numerics.md, Tensors and The function).
#pragma once

#include <cstdint>
#include <string>

#include "backend/backend.h"
#include "params/param_table.h"

namespace nexus {

enum class Arch { kNexusformer, kTokenformer, kTransformer };
enum class Variant {
  kFull,
  kQkv
};  // Nexus-Rank in q, k, v, o and the MLP (published code), or in q, k, v only (abstract)

struct ModelConfig {
  Arch arch = Arch::kNexusformer;
  Variant variant = Variant::kFull;                      // nexusformer only
  int64_t d = 768;                                       // D: model width
  int64_t layers = 12;                                   // L
  int64_t heads = 12;                                    // H
  int64_t kv_heads = 0;                                  // grouped-query attention; 0 is H
  int64_t vocab = 32000;                                 // V
  int64_t m = 1024, a = 1152;                            // M, A: inner widths of Nexus-Rank layers
  int64_t f = 2048;                                      // F: outer width of the MLP (nexusformer, transformer)
  int64_t n_qkv = 0, n_proj = 0, n_ffn = 0;              // Tokenformer: parameter tokens of q/k/v, o and the FFN
  int64_t scale_qkv = 0, scale_proj = 0, scale_ffn = 0;  // Tokenformer: n_scale; 0 is the token count at birth
  NormKind norm = NormKind::kL2;                         // nexusformer: normalisation before GELU
  GeluKind gelu = GeluKind::kErf;
  GateKind mlp = GateKind::kSwiGlu;  // transformer (and nexusformer's qkv variant)
  bool tie = false;                  // head shares the embedding's matrix (Tokenformer: true unless set)
  double rope_theta = 10000.0;
  double rotary_share = 1.0;  // share of the head that rotates (Tokenformer: 0.25)

  int64_t head_dim() const { return d / heads; }
  int64_t kv() const { return kv_heads == 0 ? heads : kv_heads; }
  int64_t rotary_dim() const { return static_cast<int64_t>(static_cast<double>(head_dim()) * rotary_share); }
  // The extent that follows a growable width; throws for kFixed.
  int64_t width(Width w) const;
  void set_width(Width w, int64_t value);
  // Throws ErrorKind::kConfig naming the key and the rule for impossible widths; fills defaults (kv_heads, scales).
  void validate();
  // Throws ErrorKind::kConfig naming the key where the model cannot be cut over `tp` ranks: heads and inner widths must
  // divide (nothing is padded); the vocabulary may be uneven.
  void check_tensor_parallel(int tp) const;
  bool operator==(const ModelConfig&) const = default;
};

std::string name_of(Arch arch);
std::string name_of(Variant variant);

// One line of key value pairs, e.g. for logs and digests: "arch nexusformer variant full D 768 ...".
std::string describe(const ModelConfig& config);

}  // namespace nexus
