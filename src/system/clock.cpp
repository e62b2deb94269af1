#include "system/clock.h"

#include <time.h>

#include <chrono>
#include <ctime>
#include <thread>

namespace nexus {
namespace {

// Not <chrono>, which does not promise that it may be asked in a signal's handler.
timespec time_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now;
}

double seconds_of(clockid_t clock) {
  const timespec now = time_of(clock);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

double steady_seconds() {
  return seconds_of(CLOCK_MONOTONIC);
}

int64_t steady_milliseconds() {
  const timespec now = time_of(CLOCK_MONOTONIC);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

double unix_seconds() {
  return seconds_of(CLOCK_REALTIME);
}

std::string local_time_text() {
  const std::time_t now = time_of(CLOCK_REALTIME).tv_sec;
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char text[40] = "";
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &parts);
  return text;
}

void sleep_seconds(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

}  // namespace nexus
