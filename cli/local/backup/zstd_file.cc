#include "cli/local/backup/zstd_file.h"

#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <system_error>
#include <vector>

namespace ybis::cli {
namespace {

Unexpected FailErrno(std::string_view what, const std::string& name) {
  return Fail(ErrorCode::kInternal,
              fmt::format("{} {}: {}", what, name, std::generic_category().message(errno)));
}

Status WriteAll(int fd, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("write", name);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

struct ZstdWriter::Impl {
  int fd;
  std::string name;
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::vector<char> buffer = std::vector<char>(ZSTD_CStreamOutSize());
};

ZstdWriter::ZstdWriter(int fd, std::string name) : impl_(new Impl{fd, std::move(name)}) {
  ZSTD_CCtx_setParameter(impl_->context.get(), ZSTD_c_compressionLevel, 3);
  ZSTD_CCtx_setParameter(impl_->context.get(), ZSTD_c_checksumFlag, 1);
}
ZstdWriter::~ZstdWriter() = default;

Status ZstdWriter::Push(std::string_view bytes, bool end) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{impl_->buffer.data(), impl_->buffer.size(), 0};
    const size_t left =
        ZSTD_compressStream2(impl_->context.get(), &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0)
      return Fail(ErrorCode::kInternal, fmt::format("{}: {}", impl_->name, ZSTD_getErrorName(left)));
    YBIS_TRY(WriteAll(impl_->fd, {impl_->buffer.data(), out.pos}, impl_->name));
    if (end ? left == 0 : in.pos == in.size) return {};
  }
}

Status ZstdWriter::Write(std::string_view bytes) { return Push(bytes, false); }
Status ZstdWriter::Finish() { return Push({}, true); }

struct ZstdReader::Impl {
  int fd;
  std::string name;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(), ZSTD_freeDCtx};
  std::vector<char> buffer = std::vector<char>(ZSTD_DStreamInSize());
  ZSTD_inBuffer in{nullptr, 0, 0};
  size_t wanted = 1;  ///< 0: a frame has just ended
  bool end_of_file = false;
};

ZstdReader::ZstdReader(int fd, std::string name) : impl_(new Impl{fd, std::move(name)}) {}
ZstdReader::~ZstdReader() = default;

Result<size_t> ZstdReader::Read(char* target, size_t size) {
  Impl& self = *impl_;
  ZSTD_outBuffer out{target, size, 0};
  while (out.pos == 0) {
    if (self.in.pos == self.in.size && !self.end_of_file) {
      const ssize_t n = ::read(self.fd, self.buffer.data(), self.buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return FailErrno("read", self.name);
      self.end_of_file = n == 0;
      self.in = {self.buffer.data(), static_cast<size_t>(n), 0};
    }
    if (self.end_of_file && self.wanted == 0) return size_t{0};
    const size_t read_before = self.in.pos;
    const size_t left = ZSTD_decompressStream(self.context.get(), &out, &self.in);
    if (ZSTD_isError(left) != 0)
      return Fail(ErrorCode::kInvalid, fmt::format("{}: {}", self.name, ZSTD_getErrorName(left)));
    self.wanted = left;
    if (self.end_of_file && out.pos == 0 && self.in.pos == read_before)
      return Fail(ErrorCode::kInvalid, fmt::format("{}: is cut off", self.name));
  }
  return out.pos;
}

}  // namespace ybis::cli
