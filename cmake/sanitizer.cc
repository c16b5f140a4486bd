// Linked into every program of a sanitizer build, so that children and programs run by hand go by it too.
//
// Debian's libcpprest is not instrumented: the thread sanitizer sees it free what our threads have used, but
// not the reference count inside it by which it knows that we are done. Only what that library destroys on
// its own threads is passed over: a request's context, the cancellation callback of that context, and its TLS
// verifier.
extern "C" const char* __tsan_default_suppressions();

extern "C" const char* __tsan_default_suppressions() {
  return "race:web::http::client::details::asio_context::~asio_context\n"
         "race:::~_CancellationTokenCallback\n"
         "race:verify_callback<web::http::client::details::asio_context::*::~verify_callback\n";
}

// libpqxx asks a connection for its encoding before it takes charge of libpq's result: of a connection that has
// just been lost it gets none, throws, and the result is nobody's. One a lost statement; ours never hold one raw.
extern "C" const char* __lsan_default_suppressions();

extern "C" const char* __lsan_default_suppressions() { return "leak:PQmakeEmptyPGresult\n"; }
