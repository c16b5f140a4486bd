#pragma once
// The single looks that health is made of. Each says what to do when something is amiss; none costs money or
// changes anything.
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "control/config.h"
#include "control/health.h"
#include "store/database.h"

namespace ybis::control {

/// Whether it answers. `where` says where it is, without secrets.
HealthCheck DatabaseCheck(store::Pool& pool, std::string where);
/// Whether the schema is this program's.
HealthCheck MigrationsCheck(store::Pool& pool);
/// Runs whose lease is past due, or whose holder `is_gone` (may be empty) knows to be dead: a warning, since
/// they are taken up again.
HealthCheck LeasesCheck(store::Pool& pool, std::function<bool(const std::string& holder)> is_gone);
/// Free space where `folder` is or will be.
HealthCheck DiskCheck(std::filesystem::path folder, int64_t min_free_mib);
/// Whether git runs.
HealthCheck GitCheck(std::filesystem::path program = "/usr/bin/git");
/// Landlock and seccomp of this kernel; without them runs are refused, or go on when `best_effort`.
HealthCheck SandboxCheck(bool best_effort);
/// What it finds on a kernel with this version of Landlock, 0 or less for none.
HealthFinding SandboxFinding(int64_t landlock, bool seccomp, bool best_effort);
/// Key and recordings can be read; an endpoint answers GET /models, which costs nothing. An endpoint that
/// does not answer is broken, one that refuses the key too; any other answer shows that it is there.
HealthCheck ModelCheck(ModelConfig model);
/// One check a model, or a warning when there is none.
std::vector<HealthCheck> ModelChecks(const Config& config);
/// The newest backup below `folder`, safety backups left out, against the wanted age; 0 hours ask for none.
HealthCheck BackupsCheck(std::filesystem::path folder, int64_t max_age_hours);
/// Whether the API server answers; `ask` returns what it says about itself.
HealthCheck ClusterCheck(std::function<Result<std::string>(std::stop_token)> ask);

}  // namespace ybis::control
