#pragma once
// Where to listen, as people write it.
#include <string>

#include "http/server.h"

namespace ybis::http {

/// "8443", ":8443", "127.0.0.1:8443" or "[::1]:8443". kInvalid says what it should look like.
Result<ListenAddress> ParseListen(const std::string& text);

}  // namespace ybis::http
