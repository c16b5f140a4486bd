#include "control/process_metrics.h"

#include <prometheus/metric_family.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace ybis::control {
namespace {

void Add(std::vector<prometheus::MetricFamily>& families, const char* name, const char* help, double value,
         prometheus::MetricType type = prometheus::MetricType::Gauge) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  families.push_back({name, help, type, {metric}});
}

/// Fields of /proc/self/stat after the program's name, which may hold blanks: [0] is the state (field 3 of
/// proc(5)).
std::vector<std::string> StatFields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t end = line.rfind(')');
  std::vector<std::string> fields;
  if (end == std::string::npos) return fields;
  std::istringstream rest(line.substr(end + 1));
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

double BootTime() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::stod(line.substr(6));
  }
  return 0;
}

double OpenDescriptors() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

void AppendProcessMetrics(std::vector<prometheus::MetricFamily>& families) {
  const auto fields = StatFields();
  if (fields.size() < 22) return;
  const double tick = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page = static_cast<double>(sysconf(_SC_PAGESIZE));
  Add(families, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
      (std::stod(fields[11]) + std::stod(fields[12])) / tick, prometheus::MetricType::Counter);
  Add(families, "process_threads", "Number of OS threads in the process.", std::stod(fields[17]));
  Add(families, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
      BootTime() + std::stod(fields[19]) / tick);
  Add(families, "process_virtual_memory_bytes", "Virtual memory size in bytes.", std::stod(fields[20]));
  Add(families, "process_resident_memory_bytes", "Resident memory size in bytes.",
      std::stod(fields[21]) * page);
  Add(families, "process_open_fds", "Number of open file descriptors.", OpenDescriptors());
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    Add(families, "process_max_fds", "Maximum number of open file descriptors.",
        static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace ybis::control
