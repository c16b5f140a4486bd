#pragma once
// A secret that lies on disk for the time of one git call.
#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace ybis::git {

/// A 0600 file with a random name that is removed when this goes. Movable; not thread-safe.
class PrivateFile {
 public:
  static Result<PrivateFile> Create(const std::filesystem::path& folder, std::string_view bytes);
  PrivateFile(PrivateFile&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  PrivateFile& operator=(PrivateFile&&) = delete;
  ~PrivateFile();

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit PrivateFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace ybis::git
