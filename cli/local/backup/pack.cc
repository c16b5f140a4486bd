#include "cli/local/backup/pack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/unique_fd.h"
#include "cli/local/backup/tar_header.h"
#include "cli/local/backup/zstd_file.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunk = 128 * 1024;
constexpr int64_t kMaxFile = 077777777777;  // what a ustar header can say

Unexpected FailErrno(std::string_view what, const fs::path& path) {
  return Fail(ErrorCode::kInternal,
              fmt::format("{} {}: {}", what, path.string(), std::generic_category().message(errno)));
}

/// What is read may go meanwhile, or something else may take its place.
bool Vanished(int error) { return error == ENOENT || error == ENOTDIR; }

class Packer {
 public:
  Packer(const PackPlan& plan, int fd, const std::string& name, std::stop_token stop)
      : plan_(plan), out_(fd, name), stop_(std::move(stop)) {}

  Result<PackTotals> Run() {
    for (const std::string& root : plan_.roots) YBIS_TRY(Add(root));
    YBIS_TRY(out_.Write(std::string(2 * kTarBlock, '\0')));
    YBIS_TRY(out_.Finish());
    return std::move(totals_);
  }

 private:
  Status Add(const fs::path& path) {
    if (stop_.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped");
    if (plan_.leave_out && plan_.leave_out(path)) return {};
    struct stat info {};
    if (::lstat((plan_.base / path).c_str(), &info) != 0)
      return Vanished(errno) ? Status() : Status(FailErrno("look at", plan_.base / path));
    if (S_ISDIR(info.st_mode)) return AddFolder(path, info);
    if (S_ISREG(info.st_mode)) return AddFile(path);
    if (totals_.skipped.size() < 100) totals_.skipped.push_back(path.string());
    return {};
  }

  Status AddFolder(const fs::path& path, const struct stat& info) {
    YBIS_TRY(out_.Write(TarHeaderText({path.string(), '5', info.st_mode, 0, info.st_mtime})));
    ++totals_.entries;
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(plan_.base / path, error))
      names.push_back(entry.path().filename());
    if (error && !Vanished(error.value()))
      return Fail(ErrorCode::kInternal, fmt::format("read {}: {}", path.string(), error.message()));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) YBIS_TRY(Add(path / name));
    return {};
  }

  Status AddFile(const fs::path& path) {
    const UniqueFd file(::open((plan_.base / path).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.valid()) return Vanished(errno) ? Status() : Status(FailErrno("open", plan_.base / path));
    struct stat info {};
    if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return FailErrno("look at", path);
    if (info.st_size > kMaxFile)
      return Fail(ErrorCode::kTooLarge, fmt::format("{}: more than 8 GiB in one file", path.string()));
    YBIS_TRY(out_.Write(TarHeaderText({path.string(), '0', info.st_mode, info.st_size, info.st_mtime})));
    // Files of a run only ever grow or are replaced whole: what was there at the beginning is what is taken.
    YBIS_TRY(Copy(file.get(), info.st_size, path));
    YBIS_TRY(out_.Write(std::string(TarPadding(info.st_size), '\0')));
    totals_.bytes += info.st_size;
    ++totals_.entries;
    return {};
  }

  Status Copy(int fd, int64_t left, const fs::path& path) {
    std::vector<char> chunk(kChunk);
    while (left > 0) {
      const ssize_t n = ::read(fd, chunk.data(), std::min<size_t>(chunk.size(), static_cast<size_t>(left)));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return FailErrno("read", path);
      if (n == 0)
        return Fail(ErrorCode::kConflict,
                    fmt::format("{}: became shorter while it was read; try again", path.string()));
      YBIS_TRY(out_.Write({chunk.data(), static_cast<size_t>(n)}));
      left -= n;
    }
    return {};
  }

  const PackPlan& plan_;
  ZstdWriter out_;
  std::stop_token stop_;
  PackTotals totals_;
};

class Unpacker {
 public:
  Unpacker(int fd, const std::string& name, const fs::path& target, const UnpackLimits& limits,
           std::stop_token stop)
      : in_(fd, name), name_(name), target_(target), limits_(limits), stop_(std::move(stop)) {}

  Result<PackTotals> Run() {
    if (Status read = ReadAll(); !read) return FailIn(name_, std::move(read).error());
    const UniqueFd folder(::open(target_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || ::syncfs(folder.get()) != 0) return FailErrno("sync", target_);
    return std::move(totals_);
  }

 private:
  Status ReadAll() {
    for (;;) {
      if (stop_.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped");
      YBIS_ASSIGN(const std::string block, Take(kTarBlock));
      if (block.find_first_not_of('\0') == std::string::npos) return CheckEnd();
      YBIS_ASSIGN(TarHeader header, ParseTarHeader(block));
      if (header.type == 'x') {
        YBIS_ASSIGN(header, ReadLongName(header));
      }
      YBIS_TRY(Make(header));
    }
  }

  /// The rest must be zeros: nothing hides behind the end.
  Status CheckEnd() {
    for (int blocks = 0;; ++blocks) {
      char rest[kTarBlock];
      YBIS_ASSIGN(const size_t n, in_.Read(rest, sizeof(rest)));
      if (n == 0) return {};
      if (blocks > 64 || std::any_of(rest, rest + n, [](char c) { return c != '\0'; }))
        return Fail(ErrorCode::kInvalid, "has something behind its end");
    }
  }

  Result<TarHeader> ReadLongName(const TarHeader& pax) {
    if (pax.size > 8192) return Fail(ErrorCode::kInvalid, "a pax record is too long");
    YBIS_ASSIGN(const std::string record, Take(static_cast<size_t>(pax.size)));
    YBIS_TRY(Take(TarPadding(pax.size)));
    YBIS_ASSIGN(const std::string path, ParsePaxPath(record));
    YBIS_ASSIGN(const std::string block, Take(kTarBlock));
    YBIS_ASSIGN(TarHeader header, ParseTarHeader(block));
    header.path = path;
    return header;
  }

  Status Make(const TarHeader& header) {
    YBIS_TRY(CheckPackedPath(header.path));
    const auto refuse = [&](std::string_view why) {
      return Fail(ErrorCode::kInvalid, fmt::format("entry '{}': {}", header.path, why));
    };
    if (header.type != '0' && header.type != '5')
      return refuse("is a link or a device; backups have files and folders only");
    if (++totals_.entries > limits_.entries) return refuse("there are more entries than the manifest says");
    totals_.bytes += header.size;
    if (header.size > limits_.bytes || totals_.bytes > limits_.bytes)
      return refuse("there are more bytes than the manifest says");
    const fs::path path = target_ / header.path;
    if (header.type == '5') {
      if (header.size == 0 && ::mkdir(path.c_str(), (header.mode & 0777U) | 0700U) == 0) return {};
      return refuse(std::generic_category().message(errno));
    }
    return WriteFile(path, header);
  }

  Status WriteFile(const fs::path& path, const TarHeader& header) {
    std::error_code ignored;
    if (!path.parent_path().empty()) fs::create_directories(path.parent_path(), ignored);
    const UniqueFd file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, header.mode & 0777U));
    if (!file.valid()) return FailErrno("make", path);
    int64_t left = header.size;
    std::vector<char> chunk(kChunk);
    while (left > 0) {
      YBIS_ASSIGN(const size_t n,
                  in_.Read(chunk.data(), std::min<size_t>(chunk.size(), static_cast<size_t>(left))));
      if (n == 0) return Fail(ErrorCode::kInvalid, "is cut off");
      for (size_t at = 0; at < n;) {
        const ssize_t written = ::write(file.get(), chunk.data() + at, n - at);
        if (written < 0 && errno != EINTR) return FailErrno("write", path);
        if (written > 0) at += static_cast<size_t>(written);
      }
      left -= static_cast<int64_t>(n);
    }
    YBIS_TRY(Take(TarPadding(header.size)));
    return {};
  }

  Result<std::string> Take(size_t size) {
    std::string bytes(size, '\0');
    for (size_t at = 0; at < size;) {
      YBIS_ASSIGN(const size_t n, in_.Read(bytes.data() + at, size - at));
      if (n == 0) return Fail(ErrorCode::kInvalid, "is cut off");
      at += n;
    }
    return bytes;
  }

  ZstdReader in_;
  std::string name_;
  fs::path target_;
  UnpackLimits limits_;
  std::stop_token stop_;
  PackTotals totals_;
};

}  // namespace

Result<PackTotals> Pack(const PackPlan& plan, int fd, const std::string& name, std::stop_token stop) {
  return Packer(plan, fd, name, std::move(stop)).Run();
}

Result<PackTotals> Unpack(int fd, const std::string& name, const fs::path& target, const UnpackLimits& limits,
                          std::stop_token stop) {
  return Unpacker(fd, name, target, limits, std::move(stop)).Run();
}

}  // namespace ybis::cli
