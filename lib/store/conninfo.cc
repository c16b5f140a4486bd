#include "store/conninfo.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <memory>

#include "base/log.h"

namespace ybis::store {
namespace {

using Options = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

std::string QuoteValue(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "'";
}

/// What `url` says; an option it does not name has no value.
Result<Options> ReadConninfo(const std::string& url) {
  char* problem = nullptr;
  Options options(PQconninfoParse(url.c_str(), &problem), PQconninfoFree);
  if (problem != nullptr) PQfreemem(problem);  // it quotes the text, which may hold the password
  if (!options || url.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kInvalid,
                "the database URL cannot be read: it must have the form "
                "postgresql://user:password@host:port/database?option=value");
  }
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && std::string_view(option->keyword) == "password") {
      log::RegisterSecret(option->val);
    }
  }
  return options;
}

}  // namespace

Result<std::string> ConnectionString(const std::string& url, std::chrono::milliseconds timeout,
                                     const std::string& application_name) {
  YBIS_ASSIGN(const Options options, ReadConninfo(url));
  std::map<std::string, std::string> values = {{"tcp_user_timeout", "15000"}, {"keepalives_idle", "30"}};
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) values[option->keyword] = option->val;
  }
  values["connect_timeout"] = std::to_string(std::max<int64_t>(2, (timeout.count() + 999) / 1000));
  values["application_name"] = application_name;
  values["client_encoding"] = "UTF8";
  std::string out;
  for (const auto& [key, value] : values) out += fmt::format("{}={} ", key, QuoteValue(value));
  return out;
}

Result<std::map<std::string, std::string>> ClientEnvironment(const std::string& url) {
  YBIS_ASSIGN(const Options options, ReadConninfo(url));
  std::map<std::string, std::string> environment;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && option->envvar != nullptr) environment[option->envvar] = option->val;
  }
  return environment;
}

}  // namespace ybis::store
