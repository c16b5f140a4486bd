// Backups that others may have written: manifests and the headers of packed files.
#include "cli/local/backup/tar_header.h"
#include "control/backup_manifest.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = ybis::fuzz::Text(data, size);
  if (const auto manifest = ybis::control::ParseManifest(text, "input")) {
    const auto written = ybis::control::ManifestText(*manifest);
    const auto again = ybis::control::ParseManifest(written, "written");
    ybis::fuzz::Expect(again.has_value(), "a manifest that was written can be read");
    ybis::fuzz::Expect(ybis::control::ManifestText(*again) == written, "a manifest keeps its meaning");
  }
  if (const auto id = ybis::control::ParseBackupName(text))
    ybis::fuzz::Expect(id->name.find('/') == std::string::npos, "a backup's name is no path");
  if (size >= 512) (void)ybis::cli::ParseTarHeader(text.substr(0, 512));
  (void)ybis::cli::ParsePaxPath(text);
  (void)ybis::cli::CheckPackedPath(text);
  return 0;
}
