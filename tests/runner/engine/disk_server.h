#pragma once
// A git repository on the disk that stands for the server, made with the git program.
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace ybis::runner {

class DiskServer {
 public:
  /// A bare repository with one commit on main that holds `files` (path and content).
  explicit DiskServer(const std::vector<std::pair<std::string, std::string>>& files);

  std::string url() const { return "file://" + bare(); }
  /// The commit of a branch, "" when there is none.
  std::string Branch(const std::string& name) const;
  /// A file's content at a revision, "" when absent.
  std::string Show(const std::string& revision, const std::string& path) const;
  /// Every branch's name.
  std::vector<std::string> Branches() const;
  /// Adds another commit to main.
  void Commit(const std::string& path, const std::string& content);
  /// Output of a git command in the bare repository, without the last newline.
  std::string Git(const std::string& arguments) const;

 private:
  std::string bare() const { return (folder_.path() / "server.git").string(); }
  testing::TempDir folder_;
};

}  // namespace ybis::runner
