#pragma once
// Removing folders of hostile content, whatever rights they were left with.
#include <filesystem>

#include "base/result.h"

namespace ybis {

/// Removes everything in a folder, unwritable folders too; symlinks are removed, not followed.
Status ClearFolder(int folder_fd);
/// Removes a file or a whole folder if it is there.
Status RemoveTree(const std::filesystem::path& path);

}  // namespace ybis
