// What rank 0 does of the commit protocol (docs/checkpoints.md): the temporary folder, manifest, rename. Private to
// this module.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/shard.h"

namespace nexus {

// Makes STAGE/STEP.tmp-GENERATION-ID and returns it.
std::string make_temporary_folder(const RunFolder& run, const CheckpointId& id, int64_t generation);

// What a rank tells rank 0 about its shard; empty if it has written none.
std::string shard_to_text(const ShardRecord& shard);

// After all shards (one text per rank) are durable: writes state and manifest and gives the folder its name. Returns
// the bytes of the checkpoint. Throws kInternal if the slices do not cover their tensors. `fence`: see PendingSave.
int64_t commit_folder(const RunFolder& run, const CheckpointId& id, const std::string& temporary,
                      const std::vector<std::string>& shards, const nlohmann::json& state, const Fence& fence);

// After the commit: LATEST, and removal of a replaced checkpoint. Nothing here can undo the commit, so nothing throws.
void tidy_up(const RunFolder& run, const CheckpointId& id, const std::string& temporary) noexcept;

}  // namespace nexus
