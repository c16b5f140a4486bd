
#include "base/file.h"
#include "cli/dev_model_server.h"
#include "cli/signals.h"
#include "cli/verb.h"
#include "http/client.h"

namespace ybis::cli {
namespace {

/// "[::]:8080", "127.0.0.1:8080" or ":8080".
Status SetListen(ModelServerSettings& settings, const std::string& text) {
  const size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("--listen: '{}' is not ADDRESS:PORT, e.g. 127.0.0.1:8080 or [::]:8080", text));
  }
  settings.port = std::stoi(port);
  std::string address = text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  if (!address.empty()) settings.address = address;
  return {};
}

struct Options {
  std::string listen = "127.0.0.1:8080";
  std::string recordings;
  std::string api_key_file;
};

int ServeModel(Context& context, const Options& options) {
  StopOnSignals signals;
  http::InitThreads();
  ModelServerSettings settings;
  settings.recordings_dir = options.recordings;
  if (const Status listen = SetListen(settings, options.listen); !listen)
    return Explain(context, listen.error());
  if (!options.api_key_file.empty()) {
    const auto key = ReadFile(options.api_key_file, 64 * 1024);
    if (!key) return Explain(context, key.error());
    settings.api_key = *key;
  }
  settings.on_listening = [&](int port) {
    context.err << "recorded answers (no model thinks here) from " << options.recordings << " on port "
                << port << std::endl;
  };
  const Status served = ServeRecordedModel(settings, signals.token());
  return served ? kExitOk : Explain(context, served.error());
}

}  // namespace

void AddDev(Command app, Context& context) {
  Command verb = app.Add("dev", "Tools for demonstrations and tests");
  verb.NeedsSubcommand();
  auto options = std::make_shared<Options>();
  Command server = verb.Add("model-server", "Serve recorded answers over the OpenAI protocol");
  server.Option("--listen", options->listen, "Address and port").ShowDefault();
  server.Option("--recordings", options->recordings, "Folder of recorded exchanges").Required();
  server.Option("--api-key-file", options->api_key_file, "Demand this bearer token");
  server.Footer("Example:\n  ybis dev model-server --recordings examples/recordings --listen 127.0.0.1:8080");
  server.OnParsed([&context, options] {
    context.action = [&context, options] { return ServeModel(context, *options); };
  });
}

}  // namespace ybis::cli
