#pragma once
// Repository URLs: what may be handed to git, and how they appear in messages.
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::git {

enum class Transport { kHttps, kHttp, kSsh, kFile };

/// A checked URL. https://host[:port]/path, ssh://[user@]host[:port]/path or user@host:path; with leave also
/// http:// to a loopback address, file:///path and /path.
struct RepositoryUrl {
  Transport transport = Transport::kHttps;
  std::string user;  ///< empty when none was given; never with a password
  std::string host;  ///< without brackets; empty for files
  int port = 0;      ///< 0 = the transport's own
  std::string path;  ///< with the leading slash of the URL form; as written in the user@host:path form
  std::string text;  ///< what git is given

  /// For messages: the URL without its user part.
  std::string Display() const;
  /// "https://host:port": what credentials are bound to. Empty for ssh and files.
  std::string Origin() const;
};

struct UrlPolicy {
  bool allow_file = false;
  bool allow_insecure_http = false;  ///< loopback hosts only
};

/// Checks a URL from outside. Fails with kInvalid and what to write instead: other schemes and remote helpers
/// (`ext::`), a leading `-`, control characters and blanks, a password in the URL, an empty host or path,
/// queries and fragments.
Result<RepositoryUrl> ParseRepositoryUrl(std::string_view text, UrlPolicy policy = {});

}  // namespace ybis::git
