// Runs a fuzz target without libFuzzer: every file given, then mutations of them by a fixed seed, so that
// each build with g++, sanitizers or not, goes through the targets in a few seconds and fails in the same
// place again. usage: NAME_fuzz [-runs=N] FILE|FOLDER ...
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> Seeds(const std::vector<fs::path>& places) {
  std::vector<fs::path> files;
  for (const auto& place : places) {
    if (!fs::is_directory(place)) {
      files.push_back(place);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(place))
      if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  for (const auto& file : files) seeds.push_back(ReadAll(file));
  return seeds;
}

/// What parsers stumble over: the ends of number ranges, quotes, NUL, half characters, long runs.
const std::vector<std::string>& Tokens() {
  static const std::vector<std::string> tokens = {"-1",
                                                  "9223372036854775808",
                                                  "1e999",
                                                  "-0.0",
                                                  "null",
                                                  "\"",
                                                  "\\u0000",
                                                  "\\ud800",
                                                  std::string(1, '\0'),
                                                  "\xff",
                                                  "\xe2\x82",
                                                  "{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  ":",
                                                  ",",
                                                  "\n",
                                                  "\r\n",
                                                  "../",
                                                  "/",
                                                  "&a",
                                                  "*a",
                                                  "<<",
                                                  "!!",
                                                  "- ",
                                                  "@@ -1,0 +1 @@\n",
                                                  "--- a/",
                                                  "+++ /dev/null\n",
                                                  std::string(300, '['),
                                                  std::string(300, 'a'),
                                                  "%00",
                                                  "://",
                                                  "@",
                                                  "~",
                                                  "*",
                                                  "**"};
  return tokens;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  std::string Next() {
    std::string text = seeds_[Below(seeds_.size())];
    for (size_t step = 1 + Below(4); step > 0; --step) Change(text);
    return text;
  }

 private:
  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void Change(std::string& text) {
    const size_t at = Below(text.size() + 1);
    const size_t length = std::min(1 + Below(Below(8) == 0 ? 512 : 12), text.size() - at);
    switch (Below(6)) {
      case 0:
        text.erase(at, length);
        return;
      case 1:
        text.insert(at, text.substr(Below(text.size()), length));
        return;
      case 2:
        text.insert(at, Tokens()[Below(Tokens().size())]);
        return;
      case 3:
        text.replace(at, length, Tokens()[Below(Tokens().size())]);
        return;
      case 4:
        Flip(text, at);
        return;
      default:
        Splice(text, at);
        return;
    }
  }

  void Flip(std::string& text, size_t at) {
    if (at < text.size()) text[at] = static_cast<char>(random_());
  }

  void Splice(std::string& text, size_t at) {
    const std::string& other = seeds_[Below(seeds_.size())];
    text.resize(at);
    text += other.substr(Below(other.size()));
  }

  const std::vector<std::string>& seeds_;
  std::mt19937 random_{20261128};
};

/// The input under way, for who looks at a failure: it is in the file that the message names.
std::string current;

void KeepCurrent(const char* why) {
  const fs::path kept = fs::temp_directory_path() / ("fuzz-" + std::to_string(getpid()));
  std::ofstream(kept, std::ios::binary) << current;
  std::cerr << "fuzz: " << why << "; the input is " << kept.string() << "\n";
}

void OnAlarm(int) {
  KeepCurrent("an input took longer than 20 s");
  std::_Exit(1);
}

void OnAbort(int) { KeepCurrent("aborted"); }

void Run(const std::string& text) {
  current = text;
  alarm(20);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

}  // namespace

int main(int argc, char** argv) {
  size_t runs = 20000;
  std::vector<fs::path> places;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with("-runs=")) {
      runs = std::strtoull(argument.data() + 6, nullptr, 10);
    } else {
      places.emplace_back(argument);
    }
  }
  const auto seeds = Seeds(places);
  if (seeds.empty()) {
    std::cerr << "usage: " << argv[0] << " [-runs=N] FILE|FOLDER ...\n";
    return 2;
  }
  std::signal(SIGALRM, OnAlarm);
  std::signal(SIGABRT, OnAbort);
  for (const auto& seed : seeds) Run(seed);
  Mutator mutator(seeds);
  for (size_t i = 0; i < runs; ++i) Run(mutator.Next());
  std::cout << seeds.size() << " seeds and " << runs << " mutations passed\n";
  return 0;
}
