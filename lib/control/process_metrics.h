#pragma once
// The process_* metrics that every Prometheus client library gives, read from /proc.
#include <vector>

namespace prometheus {
struct MetricFamily;
}

namespace ybis::control {

/// CPU seconds, resident and virtual bytes, open and allowed descriptors, threads and start time. What cannot
/// be read is left out.
void AppendProcessMetrics(std::vector<prometheus::MetricFamily>& families);

}  // namespace ybis::control
