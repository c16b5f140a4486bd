#include "cli/command.h"

#include <CLI/CLI.hpp>

namespace ybis::cli {

Flag Flag::Required() const { return Flag(option_->required()); }

Flag Flag::OneOf(std::vector<std::string> values) const {
  return Flag(option_->check(CLI::IsMember(std::move(values))));
}

Flag Flag::Between(int low, int high) const { return Flag(option_->check(CLI::Range(low, high))); }
Flag Flag::Between(double low, double high) const { return Flag(option_->check(CLI::Range(low, high))); }
Flag Flag::ShowDefault() const { return Flag(option_->capture_default_str()); }
Flag Flag::Environment(const std::string& name) const { return Flag(option_->envname(name)); }

Command Command::Add(const std::string& name, const std::string& help) const {
  return Command(app_->add_subcommand(name, help));
}

Flag Command::Option(const std::string& names, std::string& target, const std::string& help) const {
  return Flag(app_->add_option(names, target, help));
}

Flag Command::Option(const std::string& names, std::vector<std::string>& target,
                     const std::string& help) const {
  CLI::Option* option = app_->add_option(names, target, help);
  // Else it would take every word up to the next flag, the task's own file with it.
  if (names.starts_with('-')) option->allow_extra_args(false);
  return Flag(option);
}

Flag Command::Option(const std::string& names, int& target, const std::string& help) const {
  return Flag(app_->add_option(names, target, help));
}

Flag Command::Option(const std::string& names, int64_t& target, const std::string& help) const {
  return Flag(app_->add_option(names, target, help));
}

Flag Command::Option(const std::string& names, double& target, const std::string& help) const {
  return Flag(app_->add_option(names, target, help));
}

Flag Command::Switch(const std::string& names, bool& target, const std::string& help) const {
  return Flag(app_->add_flag(names, target, help));
}

void Command::NeedsSubcommand() const { app_->require_subcommand(1); }
void Command::Hide() const { app_->group(""); }
void Command::Footer(const std::string& text) const { app_->footer(text); }
void Command::OnParsed(std::function<void()> callback) const { app_->callback(std::move(callback)); }

std::string Command::ProgramName() const {
  const CLI::App* root = app_;
  while (root->get_parent() != nullptr) root = root->get_parent();
  return root->get_name();
}

}  // namespace ybis::cli
