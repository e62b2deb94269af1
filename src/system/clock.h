// The clocks. Waits and measured times go by steady_seconds, which nobody can set; unix_seconds says when something
// happened, for readers and across machines.
#pragma once

#include <cstdint>
#include <string>

namespace nexus {

// Since some moment before this process began; f64 holds it to some nanoseconds.
double steady_seconds();

// The same clock, in whole milliseconds; may be called from a signal's handler.
int64_t steady_milliseconds();

// Since 1970, by the wall clock of this machine.
double unix_seconds();

// Now, as people here write it: "2026-01-31T12:00:00+0100".
std::string local_time_text();

void sleep_seconds(double seconds);

}  // namespace nexus
