#include "runner/sandbox/policy.h"

namespace ybis::runner {

std::vector<std::filesystem::path> DefaultReadable() {
  return {
      "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/etc",
      // Of other processes /proc shows no more than their names: the rest asks for the right to trace them.
      "/proc", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage", "/dev/random",
      "/dev/urandom"};
}

std::vector<std::filesystem::path> DefaultHidden() {
  return {"/run/secrets",     "/var/run/secrets", "/etc/shadow",  "/etc/gshadow",
          "/etc/ssl/private", "/etc/ssh",         "/etc/sudoers", "/etc/krb5.keytab",
          "/etc/kubernetes",  "/etc/rancher",     "/etc/ybis"};
}

}  // namespace ybis::runner
