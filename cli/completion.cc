// ybis completion: scripts for shells, made from the command line's own tree.
#include <CLI/CLI.hpp>

#include "cli/verb.h"

namespace ybis::cli {
namespace {

struct FlagWords {
  std::vector<std::string> names;  ///< with their dashes
  std::string help;
  bool takes_value = false;
  std::vector<std::string> values;  ///< what may follow; empty = a file or anything
};

/// One place in the tree.
struct Place {
  std::string path;                                         ///< "" or "task list"
  std::vector<std::pair<std::string, std::string>> deeper;  ///< names and helps
  std::vector<FlagWords> flags;
  bool takes_words = false;         ///< has positionals
  std::vector<std::string> values;  ///< of the positionals, where they are a choice
};

/// "TEXT:{table,json}" → table, json.
std::vector<std::string> ValuesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find('{');
  const size_t close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

FlagWords FlagOf(const CLI::Option& option) {
  FlagWords flag{{}, option.get_description(), option.get_items_expected_max() > 0, ValuesOf(option)};
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  return flag;
}

void Collect(const CLI::App& app, const std::string& path, std::vector<Place>& places) {
  Place place{.path = path};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    if (option->nonpositional()) {
      place.flags.push_back(FlagOf(*option));
    } else {
      place.takes_words = true;
      for (std::string& value : ValuesOf(*option)) place.values.push_back(std::move(value));
    }
  }
  const auto shown = app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
  for (const CLI::App* sub : shown) place.deeper.emplace_back(sub->get_name(), sub->get_description());
  places.push_back(std::move(place));
  for (const CLI::App* sub : shown) {
    Collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), places);
  }
}

/// In single quotes; a quote in it as this shell wants it.
std::string Quote(const std::string& text, std::string_view quote) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string(quote) : std::string(1, c);
  return out + "'";
}

std::string Join(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::string Names(const Place& place) {
  std::vector<std::string> names;
  for (const auto& [name, help] : place.deeper) names.push_back(name);
  return Join(names);
}

std::string AllFlags(const Place& place) {
  std::vector<std::string> names;
  for (const FlagWords& flag : place.flags) names.insert(names.end(), flag.names.begin(), flag.names.end());
  return Join(names);
}

/// 'task list -o'|'task list --output', what a case looks for.
std::string Pattern(const Place& place, const FlagWords& flag) {
  std::vector<std::string> patterns;
  for (const std::string& name : flag.names) patterns.push_back(Quote(place.path + " " + name, "'\\''"));
  return fmt::format("{}", fmt::join(patterns, "|"));
}

/// The walk that bash and zsh share: how far the words go down the tree.
std::string WalkCases(const std::vector<Place>& places) {
  std::vector<std::string> patterns;
  for (const Place& place : places) {
    if (!place.path.empty()) patterns.push_back(Quote(place.path, "'\\''"));
  }
  return fmt::format("    case \"${{at:+$at }}$word\" in\n      {}) at=\"${{at:+$at }}$word\" ;;\n    esac\n",
                     fmt::join(patterns, "|"));
}

/// Sets `values` (a choice) or `free` (a file or anything) by the option before the cursor.
std::string ValueCases(const std::vector<Place>& places) {
  std::string out;
  for (const Place& place : places) {
    for (const FlagWords& flag : place.flags) {
      if (!flag.takes_value) continue;
      out += fmt::format("    {}) {} ;;\n", Pattern(place, flag),
                         flag.values.empty() ? "free=1" : "values='" + Join(flag.values) + "'");
    }
  }
  return out;
}

std::string Bash(const std::vector<Place>& places) {
  std::string out =
      "# bash completion for ybis. Load it with:  source <(ybis completion bash)\n"
      "_ybis() {\n"
      "  local at='' word i values='' free='' flags='' deeper=''\n"
      "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  # --output=js comes as three words.\n"
      "  if [[ $cur == '=' ]]; then cur=''\n"
      "  elif [[ $prev == '=' ]]; then prev=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n" +
      WalkCases(places) +
      "  done\n"
      "  COMPREPLY=()\n"
      "  case \"$at $prev\" in\n" +
      ValueCases(places) +
      "  esac\n"
      "  if [[ -z $values$free ]]; then\n"
      "    case \"$at\" in\n";
  for (const Place& place : places) {
    out += fmt::format("      {}) flags='{}' deeper='{}'{} ;;\n", Quote(place.path, "'\\''"), AllFlags(place),
                       place.values.empty() ? Names(place) : Join(place.values),
                       place.takes_words && place.values.empty() ? " free=1" : "");
  }
  out +=
      "    esac\n"
      "    if [[ $cur == -* ]]; then values=$flags free=''; else values=$deeper; fi\n"
      "  fi\n"
      "  if [[ -n $values ]]; then mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$cur\"); fi\n"
      "  if [[ -n $free ]]; then compopt -o default 2>/dev/null; fi\n"
      "}\n"
      "complete -F _ybis ybis\n";
  return out;
}

/// name:help, as zsh's _describe reads it.
std::string Described(const std::string& name, const std::string& help) {
  std::string text = name + ":";
  for (const char c : help) text += c == ':' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return Quote(text, "'\\''");
}

std::string Zsh(const std::vector<Place>& places) {
  std::string out =
      "#compdef ybis\n"
      "# zsh completion for ybis. Load it with:  source <(ybis completion zsh)\n"
      "# or put it into a folder of $fpath as _ybis.\n"
      "_ybis() {\n"
      "  local at='' word i values='' free='' prev=\"${words[CURRENT-1]}\"\n"
      "  local -a flags deeper\n"
      "  for ((i = 2; i < CURRENT; ++i)); do\n"
      "    word=\"${words[i]}\"\n" +
      WalkCases(places) +
      "  done\n"
      "  if [[ $PREFIX == --*=* ]]; then prev=\"${PREFIX%%=*}\"; compset -P '*='; fi\n"
      "  case \"$at $prev\" in\n" +
      ValueCases(places) +
      "  esac\n"
      "  if [[ -n $values ]]; then compadd -- ${=values}; return; fi\n"
      "  if [[ -n $free ]]; then _files; return; fi\n"
      "  case \"$at\" in\n";
  for (const Place& place : places) {
    std::vector<std::string> flags, deeper;
    for (const FlagWords& flag : place.flags) {
      for (const std::string& name : flag.names) flags.push_back(Described(name, flag.help));
    }
    for (const auto& [name, help] : place.deeper) deeper.push_back(Described(name, help));
    for (const std::string& value : place.values) deeper.push_back(Quote(value, "'\\''"));
    out += fmt::format("    {})\n      flags=({})\n      deeper=({}){} ;;\n", Quote(place.path, "'\\''"),
                       Join(flags), Join(deeper), place.takes_words && place.values.empty() ? " free=1" : "");
  }
  out +=
      "  esac\n"
      "  if [[ $PREFIX == -* ]]; then _describe -o 'option' flags\n"
      "  elif [[ -n $free ]]; then _files\n"
      "  else _describe 'command' deeper; fi\n"
      "}\n"
      "if [[ ${funcstack[1]} == _ybis ]]; then _ybis \"$@\"; else compdef _ybis ybis; fi\n";
  return out;
}

std::string FishQuote(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\\' ? "\\\\" : std::string(1, c);
  return Quote(out, "\\'");
}

std::string FishFlag(const std::string& condition, const FlagWords& flag) {
  std::string out = "complete -c ybis" + condition;
  for (const std::string& name : flag.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (flag.takes_value) out += flag.values.empty() ? " -r -F" : " -x -a " + FishQuote(Join(flag.values));
  return out + " -d " + FishQuote(flag.help) + "\n";
}

std::string Fish(const std::vector<Place>& places) {
  std::vector<std::string> paths;
  for (const Place& place : places) {
    if (!place.path.empty()) paths.push_back(FishQuote(place.path));
  }
  std::string out = fmt::format(
      "# fish completion for ybis. Load it with:  ybis completion fish | source\n"
      "function __ybis_at\n"
      "  set -l at ''\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    set -l next (string trim -- \"$at $word\")\n"
      "    if contains -- $next {}\n"
      "      set at $next\n"
      "    end\n"
      "  end\n"
      "  test \"$at\" = \"$argv[1]\"\n"
      "end\n"
      "complete -c ybis -e\n"
      "complete -c ybis -f\n",
      Join(paths));
  for (const Place& place : places) {
    const std::string condition = " -n " + FishQuote(fmt::format("__ybis_at '{}'", place.path));
    for (const auto& [name, help] : place.deeper)
      out += fmt::format("complete -c ybis{} -a {} -d {}\n", condition, name, FishQuote(help));
    if (!place.values.empty())
      out += fmt::format("complete -c ybis{} -a {}\n", condition, FishQuote(Join(place.values)));
    if (place.takes_words && place.values.empty()) out += "complete -c ybis" + condition + " -F\n";
    for (const FlagWords& flag : place.flags) out += FishFlag(condition, flag);
  }
  return out;
}

}  // namespace

void AddCompletion(Command app, Context& context) {
  Command verb = app.Add("completion", "Print a script that completes ybis in your shell");
  auto shell = std::make_shared<std::string>();
  verb.Option("SHELL", *shell, "bash, zsh or fish").Required().OneOf({"bash", "zsh", "fish"});
  verb.Footer(
      "Examples:\n"
      "  source <(ybis completion bash)          # in ~/.bashrc\n"
      "  source <(ybis completion zsh)           # in ~/.zshrc, after compinit\n"
      "  ybis completion fish | source           # in ~/.config/fish/config.fish");
  verb.OnParsed([app, &context, shell] {
    context.action = [app, &context, shell] {
      std::vector<Place> places;
      Collect(app.app(), "", places);
      context.out << (*shell == "bash" ? Bash(places) : *shell == "zsh" ? Zsh(places) : Fish(places));
      return kExitOk;
    };
  });
}

}  // namespace ybis::cli
