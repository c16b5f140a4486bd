#include "tests/support/source_dir.h"

namespace ybis::testing {

std::string SourceDir() { return YBIS_SOURCE_DIR; }

}  // namespace ybis::testing
