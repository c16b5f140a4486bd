#include "store/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <map>
#include <pqxx/pqxx>

#include "base/log.h"
#include "base/utf8.h"
#include "store/conninfo.h"

namespace ybis::store {
namespace {

/// Secrets first: a cut or a changed newline would leave a part of one that is not found.
std::string Clean(std::string text) {
  text = log::Redact(text);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  text.resize(CutAtCharacter(text, 600).size());
  return text;
}

/// The session cannot be used any more although the client library may think so.
bool EndsSession(std::string_view state) {
  return state.starts_with("08") || state.starts_with("57P") || state == "53300" || state == "25006" ||
         state == "25P03";
}

struct Classified {
  Error error;
  Effect effect = Effect::kNone;
  bool broken = false;
};

Classified ClassifySql(const pqxx::sql_error& error) {
  const std::string& state = error.sqlstate();
  const ErrorCode code = CodeOfSqlState(state);
  Classified out;
  out.error = Fail(code, fmt::format("database: {} (SQLSTATE {})", Clean(error.what()), state)).value();
  out.broken = EndsSession(state);
  if (out.broken || state == "40001" || state == "40P01") out.effect = Effect::kRetry;
  return out;
}

/// Call inside a catch block.
Classified Classify() {
  try {
    throw;
  } catch (const pqxx::in_doubt_error& error) {
    return {Fail(ErrorCode::kUnavailable, "database: lost during the commit: " + Clean(error.what())).value(),
            Effect::kInDoubt, true};
  } catch (const pqxx::broken_connection& error) {
    return {Fail(ErrorCode::kUnavailable, "database: connection lost: " + Clean(error.what())).value(),
            Effect::kRetry, true};
  } catch (const pqxx::statement_completion_unknown& error) {
    return {Fail(ErrorCode::kUnavailable, "database: " + Clean(error.what())).value(), Effect::kInDoubt,
            true};
  } catch (const pqxx::transaction_rollback& error) {
    return {Fail(ErrorCode::kConflict, "database: " + Clean(error.what())).value(), Effect::kRetry, false};
  } catch (const pqxx::sql_error& error) {
    return ClassifySql(error);
  } catch (const std::exception& error) {
    return {Fail(ErrorCode::kInternal, "database: " + Clean(error.what())).value(), Effect::kNone, true};
  }
}

Status CheckParams(const Params& params) {
  for (size_t i = 0; i < params.size(); ++i) {
    if (!params[i].binary() && params[i].text() && params[i].text()->find('\0') != std::string::npos) {
      return Fail(ErrorCode::kInvalid, fmt::format("database: text parameter ${} has a NUL byte", i + 1));
    }
  }
  return {};
}

using Texts = std::vector<const char*>;

Texts TextsOf(const Params& params, size_t begin, size_t end) {
  Texts texts;
  for (size_t i = begin; i < end; ++i)
    texts.push_back(params[i].text() ? params[i].text()->c_str() : nullptr);
  return texts;
}

/// The client library takes a list of texts, or bytes one by one: a statement has one bytea at most.
pqxx::result ExecPrepared(pqxx::transaction_base& transaction, const std::string& name,
                          const Params& params) {
  size_t bytes = 0;
  while (bytes < params.size() && !params[bytes].binary()) ++bytes;
  const Texts before = TextsOf(params, 0, bytes);
  if (bytes == params.size()) {
    return transaction.exec_prepared(name, pqxx::prepare::make_dynamic_params(before));
  }
  const Texts after = TextsOf(params, bytes + 1, params.size());
  const pqxx::binarystring blob(params[bytes].text()->data(), params[bytes].text()->size());
  return transaction.exec_prepared(name, pqxx::prepare::make_dynamic_params(before), blob,
                                   pqxx::prepare::make_dynamic_params(after));
}

}  // namespace

ErrorCode CodeOfSqlState(std::string_view state) {
  static const std::map<std::string_view, ErrorCode> exact = {
      {"23505", ErrorCode::kExists},      {"23503", ErrorCode::kNotFound},   {"57014", ErrorCode::kTimeout},
      {"55P03", ErrorCode::kConflict},    {"42501", ErrorCode::kDenied},     {"3D000", ErrorCode::kNotFound},
      {"25006", ErrorCode::kUnavailable}, {"25P03", ErrorCode::kUnavailable}};
  static const std::map<std::string_view, ErrorCode> classes = {
      {"08", ErrorCode::kUnavailable}, {"40", ErrorCode::kConflict},    {"22", ErrorCode::kInvalid},
      {"23", ErrorCode::kInvalid},     {"28", ErrorCode::kDenied},      {"53", ErrorCode::kUnavailable},
      {"54", ErrorCode::kTooLarge},    {"57", ErrorCode::kUnavailable}, {"58", ErrorCode::kUnavailable}};
  if (const auto found = exact.find(state); found != exact.end()) return found->second;
  if (const auto found = classes.find(state.substr(0, 2)); found != classes.end()) return found->second;
  return ErrorCode::kInternal;
}

struct Connection::Impl {
  explicit Impl(const std::string& conninfo) : connection(conninfo) {}
  pqxx::connection connection;
  std::map<std::string, std::string, std::less<>> prepared;  ///< statement → its name
};

/// Marks the time while the server is to answer.
class Connection::Clocked {
 public:
  explicit Clocked(Connection& connection) : connection_(connection) {
    connection_.asked_ = std::chrono::steady_clock::now().time_since_epoch().count();
  }
  ~Clocked() { connection_.asked_ = 0; }
  Clocked(const Clocked&) = delete;
  Clocked& operator=(const Clocked&) = delete;

 private:
  Connection& connection_;
};

class Connection::ExecTransaction final : public Transaction {
 public:
  ExecTransaction(Connection& connection, pqxx::transaction_base& transaction)
      : connection_(connection), impl_(*connection.impl_), transaction_(transaction) {}

  Result<Rows> Exec(std::string_view sql, const Params& params) override {
    if (failed_) return Fail(failed_->error);
    YBIS_TRY(CheckParams(params));
    const Clocked clocked(connection_);
    try {
      auto result = std::make_shared<pqxx::result>(ExecPrepared(transaction_, Name(sql), params));
      return Rows(std::shared_ptr<const void>(std::move(result)));
    } catch (...) {
      failed_ = Classify();
      return Fail(failed_->error);
    }
  }

  Status ExecScript(const std::string& sql) override {
    if (failed_) return Fail(failed_->error);
    const Clocked clocked(connection_);
    try {
      transaction_.exec(sql);
      return {};
    } catch (...) {
      failed_ = Classify();
      return Fail(failed_->error);
    }
  }

  Status NoTimeLimit() override {
    YBIS_TRY(ExecScript("SET LOCAL statement_timeout = 0"));
    connection_.unlimited_ = true;
    return {};
  }

  const std::optional<Classified>& failed() const { return failed_; }

 private:
  std::string Name(std::string_view sql) {
    auto found = impl_.prepared.find(sql);
    if (found == impl_.prepared.end()) {
      found = impl_.prepared.emplace(std::string(sql), fmt::format("s{}", impl_.prepared.size())).first;
      impl_.connection.prepare(found->second, found->first);
    }
    return found->second;
  }

  Connection& connection_;
  Impl& impl_;
  pqxx::transaction_base& transaction_;
  std::optional<Classified> failed_;
};

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::Open(const std::string& url,
                                                     std::chrono::milliseconds timeout,
                                                     const std::string& application_name) {
  YBIS_ASSIGN(const std::string conninfo, ConnectionString(url, timeout, application_name));
  try {
    std::unique_ptr<Connection> connection(new Connection(std::make_unique<Impl>(conninfo)));
#include <pqxx/internal/ignore-deprecated-pre.hxx>
    // A connection that mends itself would hide that its session settings and its transaction are gone.
    connection->impl_->connection.inhibit_reactivation(true);
#include <pqxx/internal/ignore-deprecated-post.hxx>
    return connection;
  } catch (const pqxx::broken_connection& error) {
    return Fail(ErrorCode::kUnavailable, "cannot connect to the database: " + Clean(error.what()));
  } catch (...) {
    return Fail(ErrorCode::kUnavailable, "cannot connect to the database: " + Classify().error.message);
  }
}

Status Connection::Command(const std::string& sql) {
  return Single([&](Transaction& transaction) { return transaction.ExecScript(sql); }).status;
}

Outcome Connection::InTransaction(const Work& work) {
  bool committing = false;
  unlimited_ = false;
  try {
    std::optional<Clocked> beginning(std::in_place, *this);  // the constructor sends BEGIN
    pqxx::work transaction(impl_->connection);
    beginning.reset();
    ExecTransaction exec(*this, transaction);
    Status status = work(exec);
    if (exec.failed() || !status) {
      const Clocked clocked(*this);
      transaction.abort();
    }
    if (exec.failed()) {
      broken_ = broken_ || exec.failed()->broken;
      // The work's own words, unless it passed over the failure.
      return {status ? Status(Fail(exec.failed()->error)) : std::move(status), exec.failed()->effect};
    }
    if (!status) return {std::move(status), Effect::kNone};
    committing = true;
    const Clocked clocked(*this);
    transaction.commit();
    return {};
  } catch (...) {
    const Classified failure = Classify();
    broken_ = broken_ || failure.broken;
    return {Fail(failure.error), committing && failure.broken ? Effect::kInDoubt : failure.effect};
  }
}

Outcome Connection::Single(const Work& work) {
  unlimited_ = false;
  try {
    pqxx::nontransaction transaction(impl_->connection);
    ExecTransaction exec(*this, transaction);
    Status status = work(exec);
    if (!exec.failed()) return {std::move(status), Effect::kNone};
    broken_ = broken_ || exec.failed()->broken;
    return {Fail(exec.failed()->error), exec.failed()->broken ? Effect::kInDoubt : exec.failed()->effect};
  } catch (...) {
    const Classified failure = Classify();
    broken_ = broken_ || failure.broken;
    return {Fail(failure.error), failure.effect};
  }
}

std::chrono::milliseconds Connection::Silence() const {
  const auto asked = asked_.load();
  if (asked == 0 || unlimited_) return {};
  const auto since =
      std::chrono::steady_clock::now().time_since_epoch() - std::chrono::steady_clock::duration(asked);
  return std::chrono::duration_cast<std::chrono::milliseconds>(since);
}

int Connection::socket() const { return impl_->connection.sock(); }

bool Connection::UsableWhenIdle() const {
  pollfd entry{socket(), POLLIN, 0};
  return !broken_ && entry.fd >= 0 && ::poll(&entry, 1, 0) == 0;
}

}  // namespace ybis::store
