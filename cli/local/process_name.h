#pragma once
// Names for processes that others can check: who holds a lease, and whether it still lives.
#include <string>

namespace ybis::cli {

/// "host/boot id/pid namespace/pid/start time": never given out twice.
std::string ThisProcessName();
/// Whether a name is of this machine since it was last started, and of this namespace, and its process is no
/// more. False for anything it cannot know.
bool IsGone(const std::string& name);

}  // namespace ybis::cli
