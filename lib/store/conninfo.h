#pragma once
// Where the database is: a URL or key=value text, as libpq reads it, for a connection of our own and for
// Postgres' own programs.
#include <chrono>
#include <map>
#include <string>

#include "base/result.h"

namespace ybis::store {

/// A connection string in key=value form, with our name, deadline and keepalives. The password is registered
/// as a secret; the error does not quote the text.
Result<std::string> ConnectionString(const std::string& url, std::chrono::milliseconds timeout,
                                     const std::string& application_name);

/// PGHOST, PGUSER, PGPASSWORD, … for a child's environment alone: arguments can be read by every user of the
/// machine. The password is registered as a secret; the error does not quote the text.
Result<std::map<std::string, std::string>> ClientEnvironment(const std::string& url);

}  // namespace ybis::store
