#pragma once
// What an HTTP status means to who asked.
#include "base/result.h"

namespace ybis::http {

/// Of an answer that is no success; says nothing about whether to ask again.
ErrorCode CodeOfStatus(int status);

}  // namespace ybis::http
