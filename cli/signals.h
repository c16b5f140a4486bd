#pragma once
// What verbs that wait listen to.
#include "base/stop_signals.h"

namespace ybis::cli {

using ybis::StopOnSignals;

}  // namespace ybis::cli
