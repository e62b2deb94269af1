// The queue of a CUDA back end, for what works beside it (NCCL).
#pragma once

#include "backend/backend.h"
#include "cuda/queue.h"

namespace nexus::cuda {

// `backend` must come from make_cuda_backend.
Queue& queue_of(Backend& backend);

}  // namespace nexus::cuda
