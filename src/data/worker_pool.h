// Threads that run tasks; results come back as futures, so the caller decides the order and how many tasks may wait.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace nexus {

class WorkerPool {
 public:
  explicit WorkerPool(int workers);
  // Drops the tasks that have not begun and waits for the running ones.
  ~WorkerPool();
  WorkerPool(WorkerPool&&) = delete;

  // Exceptions of `work` reach the caller through the future.
  template <typename Work>
  std::future<std::invoke_result_t<Work&>> submit(Work work) {
    std::packaged_task<std::invoke_result_t<Work&>()> task(std::move(work));
    auto result = task.get_future();
    push(std::packaged_task<void()>(std::move(task)));
    return result;
  }

 private:
  void push(std::packaged_task<void()> task);
  void run();

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::packaged_task<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace nexus
