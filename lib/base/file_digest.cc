#include "base/file_digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include "base/digest.h"

namespace ybis {

Result<FileDigest> DigestOfFile(int fd, const std::string& name, std::stop_token stop) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1)
    return Fail(ErrorCode::kInternal, "SHA-256 is not available");
  FileDigest out;
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped");
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return Fail(ErrorCode::kInternal,
                  fmt::format("read {}: {}", name, std::generic_category().message(errno)));
    if (n == 0) break;
    EVP_DigestUpdate(context.get(), buffer.data(), static_cast<size_t>(n));
    out.size += n;
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_DigestFinal_ex(context.get(), bytes, &length);
  out.digest = "sha256:" + HexEncode({reinterpret_cast<const char*>(bytes), length});
  return out;
}

}  // namespace ybis
