#include "kube/token_source.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
constexpr std::chrono::seconds kReadAgain{60};
constexpr std::chrono::seconds kExpiryMargin{10};
constexpr std::chrono::seconds kPluginTimeout{60};
constexpr size_t kMaxTokenBytes = 64 * 1024;

std::string Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

}  // namespace

FixedToken::FixedToken(std::string token) : token_(std::move(token)) { log::RegisterSecret(token_); }

Result<std::string> FileToken::Token(std::stop_token) {
  auto state = state_.Lock();
  const TimePoint now = clock_.Now();
  if (state->read_at && now < *state->read_at + kReadAgain) return state->token;
  auto text = ReadFile(path_, kMaxTokenBytes);
  if (text && Trimmed(*text).empty()) {
    text = Fail(ErrorCode::kInvalid, fmt::format("{}: the token file is empty", path_.string()));
  }
  if (!text && state->token.empty()) return Fail(std::move(text).error());
  if (!text) {
    log::Warn("cannot read the token again", {{"error", text.error().message}});
  } else if (Trimmed(*text) != state->token) {
    state->token = Trimmed(*text);
    log::RegisterSecret(state->token);
  }
  state->read_at = now;
  return state->token;
}

void FileToken::Refused() { state_.Lock()->read_at.reset(); }

Result<std::string> ExecToken::Token(std::stop_token stop) {
  // The lock is held while the plugin runs: a second caller waits for its answer instead of running it too.
  auto credential = credential_.Lock();
  const bool expired =
      *credential && (*credential)->expires && clock_.Now() + kExpiryMargin >= *(*credential)->expires;
  if (!*credential || expired) {
    YBIS_ASSIGN(*credential, Ask(stop));
  }
  return (*credential)->token;
}

void ExecToken::Refused() { credential_.Lock()->reset(); }

http::ClientCertificate ExecToken::Certificate() {
  auto credential = credential_.Lock();
  return *credential ? (*credential)->certificate : http::ClientCertificate();
}

Result<ExecToken::Credential> ExecToken::Ask(std::stop_token stop) const {
  ProcessSpec spec;
  spec.argv = {plugin_.command};
  spec.argv.insert(spec.argv.end(), plugin_.args.begin(), plugin_.args.end());
  spec.env = plugin_.env;
  spec.directory = plugin_.directory;
  spec.timeout = kPluginTimeout;
  auto result = RunProcess(spec, stop);
  if (!result) {
    const std::string hint = plugin_.install_hint.empty() ? "" : "; " + plugin_.install_hint;
    Error error = std::move(result).error();
    error.message =
        fmt::format("{}: credential plugin {}: {}{}", plugin_.where, plugin_.command, error.message, hint);
    return Fail(std::move(error));
  }
  if (result->exit_code != 0 || result->timed_out) {
    return Fail(
        ErrorCode::kDenied,
        fmt::format("{}: credential plugin {} {}: {}", plugin_.where, plugin_.command,
                    result->timed_out ? "took over 60 s" : fmt::format("failed ({})", result->exit_code),
                    Trimmed(result->error_output).substr(0, 512)));
  }
  return Parse(result->output);
}

Result<ExecToken::Credential> ExecToken::Parse(std::string_view output) const {
  const std::string source =
      fmt::format("{}: output of credential plugin {}", plugin_.where, plugin_.command);
  auto parsed = ParseJson(output, source);
  if (!parsed) return Fail(ErrorCode::kInvalid, source + ": is not JSON");  // its text may hold the token
  if (!parsed->is_object()) return Fail(ErrorCode::kInvalid, source + ": is not an ExecCredential");
  ObjectReader credential(*parsed, source);
  const std::string version = credential.RequiredString("apiVersion");
  if (version != plugin_.api_version)
    credential.Problem(source + ".apiVersion: must be " + plugin_.api_version);
  Credential read;
  if (const json* status = credential.Object("status")) {
    ObjectReader fields(*status, credential.PathOf("status"));
    read.token = fields.String("token");
    read.certificate = {fields.String("clientCertificateData"), fields.String("clientKeyData")};
    if (const std::string expires = fields.String("expirationTimestamp"); !expires.empty()) {
      YBIS_ASSIGN(read.expires, ParseRfc3339(expires));
    }
    credential.Adopt(fields.Finish(false));
  }
  if (read.token.empty() && read.certificate.certificate_pem.empty()) {
    credential.Problem(source + ".status: has neither a token nor a client certificate");
  }
  YBIS_TRY(credential.Finish(false));
  if (!read.token.empty()) log::RegisterSecret(read.token);
  return read;
}

}  // namespace ybis::kube
