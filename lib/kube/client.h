#pragma once
// Talking to the API server: objects are JSON, resources are values, failures are Errors that callers can
// branch on.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"
#include "kube/config.h"
#include "kube/resource.h"

namespace ybis::kube {

using Object = std::shared_ptr<const nlohmann::json>;

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
  int limit = 500;
  std::string continue_token;  ///< of the page before
  /// "" = the newest state; "0" = whatever the server has cached.
  std::string resource_version;
};

struct ListPage {
  std::vector<Object> items;  ///< with apiVersion and kind; metadata.managedFields dropped
  std::string resource_version;
  std::string continue_token;  ///< "" on the last page
};

struct WatchOptions {
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  std::chrono::seconds timeout{300};  ///< after which the server ends the watch
};

enum class WatchEventType { kAdded, kModified, kDeleted, kBookmark };

struct WatchEvent {
  WatchEventType type = WatchEventType::kAdded;
  Object object;  ///< metadata.managedFields dropped; of a bookmark only the resourceVersion counts
};

enum class PatchType { kMerge, kApply, kJson };

struct PatchOptions {
  PatchType type = PatchType::kMerge;
  std::string subresource;    ///< "" or "status"
  std::string field_manager;  ///< needed for kApply
  bool force = false;         ///< kApply: take over fields of other managers
};

struct DeleteOptions {
  std::string propagation = "Background";  ///< Background, Foreground or Orphan
  std::string uid;                         ///< precondition: only this very object; "" = any
  std::string resource_version;            ///< precondition; "" = any
  std::optional<int> grace_period_seconds;
};

/// Errors of every call below: kDenied (401, 403), kNotFound, kConflict, kExists, kGone (410), kTooLarge,
/// kInvalid (400, 422: the message names the fields), kExhausted (429, with retry_after), kUnavailable (5xx,
/// connection), kTimeout, kCancelled. All interfaces are thread-safe.

/// Reads objects.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual Result<nlohmann::json> Get(const Resource& resource, const Key& key, std::stop_token stop) = 0;
  /// One page. `ns` "" = all namespaces.
  virtual Result<ListPage> List(const Resource& resource, std::string_view ns, const ListOptions& options,
                                std::stop_token stop) = 0;
};

/// Changes objects. What comes back is the object as stored.
class Writer {
 public:
  virtual ~Writer() = default;
  /// The object's metadata decides namespace and name. A name is demanded (no generateName), since a request
  /// may be sent twice: on kExists look whose it is.
  virtual Result<nlohmann::json> Create(const Resource& resource, const nlohmann::json& object,
                                        std::stop_token stop) = 0;
  /// Replaces the object; with metadata.resourceVersion only that very version, else kConflict.
  virtual Result<nlohmann::json> Replace(const Resource& resource, const nlohmann::json& object,
                                         std::stop_token stop) = 0;
  virtual Result<nlohmann::json> Patch(const Resource& resource, const Key& key, const nlohmann::json& patch,
                                       const PatchOptions& options, std::stop_token stop) = 0;
  virtual Status Delete(const Resource& resource, const Key& key, const DeleteOptions& options,
                        std::stop_token stop) = 0;
};

/// Follows changes.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// Calls back for every event until the server ends the watch or falls silent (success), `stop` is
  /// requested (kCancelled, at once), the version is too old (kGone: list again) or something breaks. A
  /// failed Status of the callback ends it too.
  virtual Status Watch(const Resource& resource, std::string_view ns, const WatchOptions& options,
                       const std::function<Status(WatchEvent)>& on_event, std::stop_token stop) = 0;
};

/// Whose a token is, as the API server sees it.
struct TokenIdentity {
  bool authenticated = false;
  std::string error;  ///< why not
  std::string username;
  std::string uid;
  std::vector<std::string> groups;
  std::vector<std::string> audiences;  ///< of those asked for, the ones the token is good for
  std::string ns;                      ///< of a service account
  std::string service_account;
  std::string pod_name;  ///< the pod a projected token is bound to
  std::string pod_uid;
};

/// Asks the API server about tokens.
class TokenReviewer {
 public:
  virtual ~TokenReviewer() = default;
  /// A token that is not good for one of `audiences` is not authenticated (a result, not an error).
  virtual Result<TokenIdentity> Review(std::string_view token, const std::vector<std::string>& audiences,
                                       std::stop_token stop) = 0;
};

/// What somebody wants to do to an object.
struct AccessQuestion {
  std::string user;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
  std::string verb;
  std::string group;
  std::string resource;
  std::string subresource;
  std::string ns;
  std::string name;
};

/// Asks the API server about rights.
class AccessReviewer {
 public:
  virtual ~AccessReviewer() = default;
  /// Whether that user may (SubjectAccessReview).
  virtual Result<bool> May(const AccessQuestion& question, std::stop_token stop) = 0;
};

/// Reader and Writer, for who needs both.
class Api : public Reader, public Writer {};

struct ClientSettings {
  std::string user_agent = "ybis-operator/0.1.0";
  std::chrono::milliseconds timeout{30'000};  ///< of one request
  size_t max_object_bytes = 8 * 1024 * 1024;
  size_t max_list_bytes = 64 * 1024 * 1024;  ///< of one page
  size_t max_watch_line = 4 * 1024 * 1024;
  /// A watch ends after this long without a byte, not even a bookmark (servers send one a minute).
  std::chrono::milliseconds watch_silence{150'000};
  int max_retries = 4;  ///< of a throttled request, and of a read that could not connect
  std::chrono::milliseconds max_retry_wait{10'000};  ///< a longer Retry-After goes to the caller
  /// Strict: a write with unknown or doubled fields is kInvalid, each named. "" = the server's default.
  std::string field_validation;
  /// For rest_client_requests_total: method, host and status code, or "<error>". Must be quick and
  /// thread-safe.
  std::function<void(std::string_view method, std::string_view host, std::string_view code)> on_request;
};

/// The API server over HTTP. Thread-safe; the references must outlive it. Watches go over connections of
/// their own.
class KubeClient final : public Api, public Watcher, public TokenReviewer, public AccessReviewer {
 public:
  /// Over any transport; tests give a fake one.
  KubeClient(http::Transport& transport, Connection connection, Clock& clock, ClientSettings settings = {});
  /// Over a new http::Client made for the connection.
  static std::unique_ptr<KubeClient> Make(Connection connection, Clock& clock, ClientSettings settings = {});
  ~KubeClient() override;

  Result<nlohmann::json> Get(const Resource& resource, const Key& key, std::stop_token stop) override;
  Result<ListPage> List(const Resource& resource, std::string_view ns, const ListOptions& options,
                        std::stop_token stop) override;
  Result<nlohmann::json> Create(const Resource& resource, const nlohmann::json& object,
                                std::stop_token stop) override;
  Result<nlohmann::json> Replace(const Resource& resource, const nlohmann::json& object,
                                 std::stop_token stop) override;
  Result<nlohmann::json> Patch(const Resource& resource, const Key& key, const nlohmann::json& patch,
                               const PatchOptions& options, std::stop_token stop) override;
  Status Delete(const Resource& resource, const Key& key, const DeleteOptions& options,
                std::stop_token stop) override;
  Status Watch(const Resource& resource, std::string_view ns, const WatchOptions& options,
               const std::function<Status(WatchEvent)>& on_event, std::stop_token stop) override;
  Result<TokenIdentity> Review(std::string_view token, const std::vector<std::string>& audiences,
                               std::stop_token stop) override;

  Result<bool> May(const AccessQuestion& question, std::stop_token stop) override;

  /// Whether we ourselves may do `verb` to the resource in the namespace (SelfSubjectAccessReview).
  Result<bool> MayI(std::string_view verb, const Resource& resource, std::string_view ns,
                    std::stop_token stop);
  /// Who we are to the API server (SelfSubjectReview): the user name and groups alone.
  Result<TokenIdentity> WhoAmI(std::stop_token stop);
  /// GET of a path such as "/version" or "/readyz"; the body as it is.
  Result<std::string> GetRaw(std::string_view path, std::stop_token stop);
  /// The same handed over as it comes, however long it takes (a pod's log that is followed). Ends when the
  /// server ends it, `stop` is requested (kCancelled) or the callback fails.
  Status StreamRaw(std::string_view path, const std::function<Status(std::string_view chunk)>& on_chunk,
                   std::stop_token stop);
  /// The namespace of the connection: the pod's own, or the kubeconfig context's ("default" when it names
  /// none).
  const std::string& DefaultNamespace() const;

 private:
  struct Call;
  Result<http::ClientResponse> Execute(const Call& call, std::stop_token stop);
  Result<http::ClientResponse> Once(const Call& call, std::stop_token stop);
  Result<nlohmann::json> ExecuteJson(const Call& call, std::stop_token stop);
  /// GET without an end of its own. `headed` is set when the answer was good; the others come back as errors.
  Status Stream(const Call& call, const std::function<Status(std::string_view chunk)>& on_chunk, bool& headed,
                std::stop_token stop);
  Result<nlohmann::json> PostReview(const Resource& resource, const nlohmann::json& review,
                                    std::stop_token stop);
  Result<http::ClientRequest> Prepare(const Call& call, std::stop_token stop);
  std::map<std::string, std::string> Validation() const;
  void Count(std::string_view method, std::string_view code) const;

  std::unique_ptr<http::Transport> owned_transport_;
  http::Transport& transport_;
  Connection connection_;
  std::string host_;
  Clock& clock_;
  ClientSettings settings_;
};

}  // namespace ybis::kube
