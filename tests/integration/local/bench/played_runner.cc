// Plays ybis-runner for pick_up_bench: writes the time at which it was started into its workspace, and ends.
#include <time.h>

#include <cstdio>
#include <cstring>
#include <string>

int main(int argc, char** argv) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--workspace") != 0) continue;
    const std::string file = std::string(argv[i + 1]) + "/started";
    std::FILE* out = std::fopen((file + ".new").c_str(), "w");
    if (out == nullptr) return 1;
    std::fprintf(out, "%lld", now.tv_sec * 1'000'000'000LL + now.tv_nsec);
    std::fclose(out);
    return std::rename((file + ".new").c_str(), file.c_str());
  }
  return 1;
}
