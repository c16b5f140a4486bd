#include "runner/nodes/repository_facts.h"

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "runner/nodes/prompt.h"

namespace ybis::runner {
namespace {

constexpr size_t kMaxListed = 20'000;
constexpr size_t kMaxShown = 400;
constexpr size_t kMaxTextBytes = 256 * 1024;
constexpr size_t kMaxReadme = 4 * 1024;
constexpr size_t kMaxCharacterBytes = 4;

constexpr std::pair<std::string_view, std::string_view> kLanguages[] = {
    {".c", "C"},
    {".h", "C/C++ header"},
    {".cc", "C++"},
    {".cpp", "C++"},
    {".cxx", "C++"},
    {".hpp", "C++"},
    {".py", "Python"},
    {".go", "Go"},
    {".rs", "Rust"},
    {".js", "JavaScript"},
    {".jsx", "JavaScript"},
    {".ts", "TypeScript"},
    {".tsx", "TypeScript"},
    {".java", "Java"},
    {".kt", "Kotlin"},
    {".rb", "Ruby"},
    {".php", "PHP"},
    {".cs", "C#"},
    {".swift", "Swift"},
    {".scala", "Scala"},
    {".sh", "Shell"},
    {".sql", "SQL"},
    {".md", "Markdown"},
    {".yaml", "YAML"},
    {".yml", "YAML"},
    {".html", "HTML"},
    {".css", "CSS"},
    {".tf", "Terraform"},
    {".lua", "Lua"},
    {".ex", "Elixir"},
};

std::string_view LanguageOf(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  for (const auto& [extension, language] : kLanguages) {
    if (name.substr(dot) == extension) return language;
  }
  return {};
}

/// A path on one line: control characters become '?'.
std::string Shown(std::string path) {
  for (char& c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return path;
}

/// Cuts at a character's start, so that UTF-8 stays whole.
std::string Head(std::string text, size_t bytes) {
  text.resize(CutAtCharacter(text, bytes).size());
  return text;
}

bool IsReadme(std::string_view path) {
  return path == "README.md" || path == "README" || path == "README.rst" || path == "README.txt";
}

}  // namespace

std::string ReadText(const git::Worktree& tree, const std::string& path) {
  auto bytes = tree.ReadHeadAt(path, kMaxTextBytes + 1);
  if (!bytes || bytes->find('\0') != std::string::npos) return {};
  return Head(std::move(*bytes), kMaxTextBytes);
}

Outcome<RepositoryFacts> ReadFacts(const git::Worktree& tree, std::stop_token stop) {
  YBIS_ASSIGN_FAULT(FaultSource::kWorktree, git::FileList list, tree.ListFiles(kMaxListed, std::move(stop)));
  RepositoryFacts facts{.files = std::move(list.paths), .truncated = list.truncated};
  std::sort(facts.files.begin(), facts.files.end());
  for (const std::string& path : facts.files) {
    const std::string_view language = LanguageOf(path);
    if (!language.empty()) ++facts.languages[std::string(language)];
    if (facts.readme.empty() && IsReadme(path)) facts.readme = Head(ReadText(tree, path), kMaxReadme);
  }
  facts.checks = DetectChecks(
      facts.files, [&](const std::string& path) { return tree.Has(path); },
      [&](const std::string& path) { return ReadText(tree, path); });
  return facts;
}

std::string FactsText(const RepositoryFacts& facts) {
  std::vector<std::string> languages, checks;
  for (const auto& [name, count] : facts.languages)
    languages.push_back(fmt::format("{} ({} files)", name, count));
  for (const Check& check : facts.checks) checks.push_back(fmt::format("{}", fmt::join(check.argv, " ")));
  std::string list;
  for (size_t i = 0; i < facts.files.size() && i < kMaxShown; ++i) list += Shown(facts.files[i]) + "\n";
  if (facts.files.size() > kMaxShown || facts.truncated) {
    list += fmt::format("(and {}{} more)\n", facts.files.size() - std::min(facts.files.size(), kMaxShown),
                        facts.truncated ? " or" : "");
  }
  std::string out =
      fmt::format("Languages: {}\nChecks that it brings: {}\nFiles:\n{}",
                  languages.empty() ? "none recognised" : fmt::format("{}", fmt::join(languages, ", ")),
                  checks.empty() ? "none found" : fmt::format("{}", fmt::join(checks, "; ")),
                  facts.files.empty() ? "(the repository has no files)\n" : Fence("file list", list));
  if (!facts.readme.empty()) out += "Head of its README:\n" + Fence("README", facts.readme);
  return out;
}

namespace {

bool IsWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

const std::set<std::string, std::less<>>& CommonWords() {
  static const std::set<std::string, std::less<>> kWords = {
      "that",     "this",  "with", "from",   "have",   "should", "must",  "when",  "then",  "than",  "into",
      "file",     "files", "code", "make",   "them",   "they",   "their", "each",  "also",  "only",  "such",
      "which",    "where", "what", "create", "delete", "change", "write", "test",  "tests", "print", "return",
      "function", "class", "work", "does",   "will",   "would",  "could", "there", "here",  "some",  "more"};
  return kWords;
}

/// Lower-case identifiers of four characters and more, at most 64.
std::set<std::string> Identifiers(const std::string& query) {
  std::set<std::string> words;
  for (size_t i = 0; i < query.size() && words.size() < 64;) {
    size_t end = i;
    while (end < query.size() && IsWordCharacter(query[end])) ++end;
    std::string word = Lower(query.substr(i, end - i));
    if (word.size() >= 4 && !CommonWords().contains(word)) words.insert(std::move(word));
    i = std::max(end, i + 1);
  }
  return words;
}

/// Whether the query names the text as a whole: no name character stands around it.
bool Names(const std::string& query, std::string_view text) {
  for (size_t at = query.find(text); at != std::string::npos; at = query.find(text, at + 1)) {
    const size_t end = at + text.size();
    const bool starts = at == 0 || (!IsWordCharacter(query[at - 1]) && query[at - 1] != '/');
    const bool ends = end >= query.size() || (!IsWordCharacter(query[end]) && query[end] != '/');
    if (starts && ends) return true;
  }
  return false;
}

int PathScore(const std::string& path, const std::string& query, const std::set<std::string>& words) {
  int score = 0;
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  if (Names(query, path)) score += 1000;
  if (Names(query, name)) score += 300;
  const std::string lower = Lower(path);
  for (const std::string& word : words) score += lower.find(word) != std::string::npos ? 20 : 0;
  return score;
}

}  // namespace

std::vector<std::string> RankFiles(const std::vector<std::string>& files, const std::string& query,
                                   const std::function<std::string(const std::string&)>& read) {
  constexpr size_t kMaxRead = 2000;
  const std::set<std::string> words = Identifiers(query);
  std::vector<std::pair<int, std::string>> ranked;
  size_t reads = 0;
  for (const std::string& path : files) {
    int score = PathScore(path, query, words);
    if (!words.empty() && reads++ < kMaxRead) {
      const std::string text = Lower(read(path));
      for (const std::string& word : words) score += text.find(word) != std::string::npos ? 5 : 0;
    }
    if (score > 0) ranked.emplace_back(-score, path);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> out;
  for (auto& [score, path] : ranked) out.push_back(std::move(path));
  return out;
}

std::vector<FileText> CollectFiles(const git::Worktree& tree, const std::vector<std::string>& wanted,
                                   const RetrievalBudget& budget) {
  std::vector<FileText> files;
  std::set<std::string> seen;
  size_t used = 0;
  for (const std::string& path : wanted) {
    if (files.size() == budget.files || used >= budget.total_bytes) break;
    if (!seen.insert(path).second) continue;
    std::string text = ReadText(tree, path);
    if (text.empty()) continue;
    // Less than ReadText gives at most, so that the head of a larger file is known to be one.
    const size_t room =
        std::min({budget.file_bytes, budget.total_bytes - used, kMaxTextBytes - kMaxCharacterBytes});
    const bool cut = text.size() > room;
    if (cut) text = Head(std::move(text), room);
    used += text.size();
    files.push_back({path, std::move(text), cut});
  }
  return files;
}

std::string FilesText(const std::vector<FileText>& files) {
  if (files.empty()) return "(none)\n";
  std::string out;
  for (const FileText& file : files) {
    out += Fence(Shown(file.path) + (file.cut ? " (only its head is shown)" : ""), file.text);
  }
  return out;
}

}  // namespace ybis::runner
