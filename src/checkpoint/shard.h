// One HDF5 file of a checkpoint: written by one rank, never appended to. Contiguous little-endian datasets without
// filters, one per slice, so that digests of memory and of file bytes agree.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/hdf5_handle.h"
#include "checkpoint/manifest.h"

namespace nexus {

// What one rank has written; `file.name` is empty for a rank that holds no rows.
struct ShardRecord {
  FileRecord file;
  std::map<std::string, TensorRecord> tensors;
};

// Writes, closes, reads back (one pass proves every slice and gives the file's digest) and fsyncs FOLDER/NAME.
// Throws kIo; slices of zero rows are left out.
ShardRecord write_shard(const std::string& folder, const std::string& name, const std::vector<TensorSlice>& slices);

// Version of the HDF5 library, "1.10.8".
std::string hdf5_version();

// An existing shard. The caller has checked the file's digest; every dataset is still examined before it is read.
// Errors are kCheckpoint.
class ShardReader {
 public:
  explicit ShardReader(const std::string& path);

  // Refuses links that are not hard, foreign layouts, filters, external storage, and other types or shapes than the
  // record's.
  void check(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) const;
  // Rows [first, first + rows) of the slice, counted from the slice's own first row.
  void read(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice, int64_t first,
            int64_t rows, void* host) const;
  // Where the slice's bytes begin in the file.
  int64_t offset_bytes(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) const;

 private:
  Hdf5Handle open(const std::string& dataset) const;
  Hdf5Handle open_checked(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) const;

  Hdf5Context context_;
  Hdf5Handle file_;
};

}  // namespace nexus
