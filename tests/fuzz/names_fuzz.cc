// Names from outside: paths, globs, URLs, refs and what a git server lists.
#include "http/listen_address.h"
#include "http/url.h"
#include "runner/edit/path_rules.h"
#include "runner/git/ref_name.h"
#include "runner/git/remote_refs.h"
#include "runner/git/repository_url.h"
#include "runner/policy/glob.h"
#include "tests/fuzz/input.h"

namespace {

/// What passed the rules cannot lead out of a folder, whoever looks at it.
void Path(std::string_view text) {
  if (!ybis::runner::CheckEditPath(text)) return;
  ybis::fuzz::Expect(text.front() != '/' && text != ".." && !text.starts_with("../"), "a path stays inside");
  ybis::fuzz::Expect(text.find("/../") == std::string_view::npos && !text.ends_with("/.."),
                     "a path goes down only");
  ybis::fuzz::Expect(text.find('\0') == std::string_view::npos, "a path has no NUL");
}

/// What git is given is never one of its options.
void Repository(std::string_view text, ybis::git::UrlPolicy policy) {
  const auto url = ybis::git::ParseRepositoryUrl(text, policy);
  if (!url) return;
  ybis::fuzz::Expect(!url->text.starts_with('-') && !url->host.starts_with('-'), "a URL is no option");
  ybis::fuzz::Expect(url->Display().find('\n') == std::string::npos, "a URL is one line");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = ybis::fuzz::Text(data, size);
  Path(text);
  Repository(text, {});
  Repository(text, {.allow_file = true, .allow_insecure_http = true});
  if (ybis::git::CheckRef(text)) ybis::fuzz::Expect(!text.starts_with('-'), "a ref is no option");
  if (ybis::git::CheckBranchName(text)) ybis::fuzz::Expect(!text.starts_with('-'), "a branch is no option");
  (void)ybis::http::ParseUrl(text);
  (void)ybis::http::ParseListen(std::string(text));
  if (const auto refs = ybis::git::ParseRemoteRefs(text))
    (void)ybis::git::ResolveRemoteRef(*refs, "main", "input");
  const size_t half = text.find('\n');
  if (half != std::string_view::npos && size < 4096)
    (void)ybis::runner::GlobCovers(text.substr(0, half), text.substr(half + 1));
  return 0;
}
