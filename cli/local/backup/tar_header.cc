#include "cli/local/backup/tar_header.h"

#include <fmt/format.h>

#include <charconv>

namespace ybis::cli {
namespace {

constexpr size_t kName = 0, kNameSize = 100, kMode = 100, kUid = 108, kGid = 116, kSize = 124, kMtime = 136,
                 kSum = 148, kType = 156, kMagic = 257;
constexpr int64_t kMostOctal = 077777777777;  // 8 GiB - 1: what eleven digits hold

void Put(std::string& block, size_t at, std::string_view text) { block.replace(at, text.size(), text); }

unsigned SumOf(std::string_view block) {
  unsigned sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i)
    sum += i >= kSum && i < kSum + 8 ? ' ' : static_cast<unsigned char>(block[i]);
  return sum;
}

std::string Block(const TarHeader& header, std::string_view name) {
  std::string block(kTarBlock, '\0');
  Put(block, kName, name.substr(0, kNameSize));
  Put(block, kMode, fmt::format("{:07o}", header.mode & 0777U));
  Put(block, kUid, "0000000");
  Put(block, kGid, "0000000");
  Put(block, kSize, fmt::format("{:011o}", header.size));
  Put(block, kMtime, fmt::format("{:011o}", std::clamp<int64_t>(header.mtime, 0, kMostOctal)));
  block[kType] = header.type;
  Put(block, kMagic, std::string_view("ustar\00000", 8));
  Put(block, kSum, fmt::format("{:06o}", SumOf(block)) + std::string("\0 ", 2));
  return block;
}

/// "LENGTH path=NAME\n", where the length counts its own digits.
std::string PaxRecord(std::string_view path) {
  const size_t rest = path.size() + 7;  // " path=" and the newline
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  return fmt::format("{} path={}\n", length, path);
}

Result<int64_t> Octal(std::string_view block, size_t at, size_t width, std::string_view field) {
  std::string_view text = block.substr(at, width);
  text = text.substr(0, text.find_first_of(std::string_view("\0 ", 2)));
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size() || value < 0)
    return Fail(ErrorCode::kInvalid, fmt::format("a header's {} is no number", field));
  return value;
}

}  // namespace

std::string TarHeaderText(const TarHeader& header) {
  if (header.path.size() <= kNameSize) return Block(header, header.path);
  const std::string record = PaxRecord(header.path);
  TarHeader pax{.path = "pax", .type = 'x', .size = static_cast<int64_t>(record.size())};
  return Block(pax, pax.path) + record + std::string(TarPadding(pax.size), '\0') + Block(header, header.path);
}

Result<TarHeader> ParseTarHeader(std::string_view block) {
  if (block.size() != kTarBlock || block.substr(kMagic, 5) != "ustar")
    return Fail(ErrorCode::kInvalid, "is no tar file");
  YBIS_ASSIGN(const int64_t sum, Octal(block, kSum, 8, "checksum"));
  if (sum != SumOf(block)) return Fail(ErrorCode::kInvalid, "a header's checksum does not fit");
  TarHeader header;
  const std::string_view name = block.substr(kName, kNameSize);
  header.path = name.substr(0, name.find('\0'));
  header.type = block[kType];
  YBIS_ASSIGN(const int64_t mode, Octal(block, kMode, 8, "mode"));
  header.mode = static_cast<unsigned>(mode) & 0777U;
  YBIS_ASSIGN(header.size, Octal(block, kSize, 12, "size"));
  YBIS_ASSIGN(header.mtime, Octal(block, kMtime, 12, "time"));
  return header;
}

Result<std::string> ParsePaxPath(std::string_view record) {
  const size_t at = record.find(" path=");
  size_t length = 0;
  const auto [end, problem] = std::from_chars(record.data(), record.data() + record.size(), length);
  const bool shaped = at != std::string_view::npos && problem == std::errc() && end == record.data() + at &&
                      length == record.size() && record.ends_with('\n');
  if (!shaped) return Fail(ErrorCode::kInvalid, "a pax record holds something else than a path");
  return std::string(record.substr(at + 6, record.size() - at - 7));
}

Status CheckPackedPath(std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return Fail(ErrorCode::kInvalid, fmt::format("entry '{}': {}", path.substr(0, 200), why));
  };
  if (path.empty() || path.size() > 4096) return refuse("its name is empty or too long");
  if (path.front() == '/' || path.find('\0') != std::string_view::npos)
    return refuse("its path is absolute or broken");
  for (size_t at = 0; at <= path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    if (part.empty() || part == "." || part == ".." || part.size() > 255)
      return refuse("its path leads elsewhere");
    at = slash + 1;
  }
  return {};
}

}  // namespace ybis::cli
