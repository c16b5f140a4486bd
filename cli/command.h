#pragma once
// The command line as verbs see it: commands, their flags and what they do. CLI11 stays in one source file,
// since each file that uses it costs seven seconds to compile.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class App;
class Option;
}  // namespace CLI

namespace ybis::cli {

/// A flag or a positional argument; a handle, as good as long as its command line lives.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}

  Flag Required() const;
  Flag OneOf(std::vector<std::string> values) const;
  Flag Between(int low, int high) const;
  Flag Between(double low, double high) const;
  /// The help shows what the target holds now.
  Flag ShowDefault() const;
  /// Read from there when the command line has it not.
  Flag Environment(const std::string& name) const;

 private:
  CLI::Option* option_;
};

/// A command and all below it; a handle, as good as long as its command line lives.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  /// A command below this one.
  Command Add(const std::string& name, const std::string& help) const;
  /// Adds what takes a value ("-o,--output", or "ID" for a positional); the target must outlive the parse. A
  /// flag with a list takes one value each time that it is given, a positional all that are left.
  Flag Option(const std::string& names, std::string& target, const std::string& help = {}) const;
  Flag Option(const std::string& names, std::vector<std::string>& target, const std::string& help) const;
  Flag Option(const std::string& names, int& target, const std::string& help) const;
  Flag Option(const std::string& names, int64_t& target, const std::string& help = {}) const;
  Flag Option(const std::string& names, double& target, const std::string& help) const;
  /// Adds what is there or not.
  Flag Switch(const std::string& names, bool& target, const std::string& help) const;

  /// One of the commands below must be given.
  void NeedsSubcommand() const;
  /// Not shown in any help.
  void Hide() const;
  void Footer(const std::string& text) const;
  /// Called when the command line names this command.
  void OnParsed(std::function<void()> callback) const;
  /// The name of the whole program.
  std::string ProgramName() const;
  CLI::App& app() const { return *app_; }

 private:
  CLI::App* app_;
};

}  // namespace ybis::cli
