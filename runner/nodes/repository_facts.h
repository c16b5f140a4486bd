#pragma once
// What a model is told of a repository: a list of its files, languages, checks and the files that matter.
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "runner/engine/fault.h"
#include "runner/git/worktree.h"
#include "runner/nodes/test_detection.h"

namespace ybis::runner {

struct RepositoryFacts {
  std::vector<std::string> files;           ///< sorted
  bool truncated = false;                   ///< there are more files than are listed
  std::map<std::string, size_t> languages;  ///< by name, count of files
  std::vector<Check> checks;
  std::string readme;  ///< the head of it
};

/// Reads the worktree. The same content gives the same facts: prompts made of them are repeatable.
Outcome<RepositoryFacts> ReadFacts(const git::Worktree& tree, std::stop_token stop);

/// The facts as text for a prompt; what comes from the repository is fenced.
std::string FactsText(const RepositoryFacts& facts);

/// One file with its content, for a prompt.
struct FileText {
  std::string path;
  std::string text;
  bool cut = false;  ///< only the head is there
};

struct RetrievalBudget {
  size_t total_bytes = 96 * 1024;
  size_t file_bytes = 32 * 1024;
  size_t files = 24;
};

/// Ranks files by a query: named in it by path or name, then by how many of its identifiers they hold; ties
/// by path. `read` gives a file's text, "" when it cannot be shown (binary, too large). Pure apart from
/// `read`.
std::vector<std::string> RankFiles(const std::vector<std::string>& files, const std::string& query,
                                   const std::function<std::string(const std::string&)>& read);

/// The files of `wanted`, in that order and whole where the budget allows; without a second copy.
std::vector<FileText> CollectFiles(const git::Worktree& tree, const std::vector<std::string>& wanted,
                                   const RetrievalBudget& budget);

/// The collected files as fenced text, or a line that says there are none.
std::string FilesText(const std::vector<FileText>& files);

/// A file's text for a prompt, at most the first 256 KiB: "" when absent or binary.
std::string ReadText(const git::Worktree& tree, const std::string& path);

}  // namespace ybis::runner
