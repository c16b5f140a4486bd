// The parts of client.h that need no library.
#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/clock.h"
#include "http/client.h"

namespace ybis::http {
namespace {

constexpr std::chrono::milliseconds kLongestRetryAfter{3'600'000};

std::chrono::milliseconds FromDate(const std::string& text) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return {};
  const auto wait = std::chrono::system_clock::from_time_t(timegm(&parts)) - SystemClock().Now();
  return std::chrono::duration_cast<std::chrono::milliseconds>(wait);
}

}  // namespace

std::string ClientResponse::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::chrono::milliseconds ClientResponse::RetryAfter() const {
  const std::string text = Header("retry-after");
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  std::chrono::milliseconds wait{};
  if (error == std::errc() && end == text.data() + text.size()) {
    wait = std::chrono::seconds(std::clamp<int64_t>(seconds, 0, 3600));
  } else if (error == std::errc::invalid_argument) {
    wait = FromDate(text);
  }
  return std::clamp(wait, std::chrono::milliseconds(0), kLongestRetryAfter);
}

}  // namespace ybis::http
