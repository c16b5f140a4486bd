
#include "base/version.h"
#include "cli/verb.h"

namespace ybis::cli {

void AddVersion(Command app, Context& context) {
  Command verb = app.Add("version", "Print the version");
  verb.OnParsed([&context] {
    context.action = [&context] {
      context.out << "ybis " << kYbisVersion << "\n";
      return kExitOk;
    };
  });
}

}  // namespace ybis::cli
