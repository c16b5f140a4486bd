# The libraries of Debian 12 that YBIS builds on.
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS system thread)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(YAMLCPP REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(LIBPQXX REQUIRED IMPORTED_TARGET libpqxx)
pkg_check_modules(LIBZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LIBGIT2 REQUIRED IMPORTED_TARGET libgit2)
pkg_check_modules(LIBSECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
# Its -pthread would differ from what the precompiled header was made with; Threads::Threads links what is needed.
set_property(TARGET PkgConfig::RE2 PROPERTY INTERFACE_COMPILE_OPTIONS "")
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)

find_library(YBIS_CPPREST_LIBRARY cpprest REQUIRED)
add_library(ybis_cpprest INTERFACE)
target_link_libraries(ybis_cpprest INTERFACE ${YBIS_CPPREST_LIBRARY} Boost::system Boost::thread OpenSSL::SSL OpenSSL::Crypto
                                             Threads::Threads)
target_compile_definitions(ybis_cpprest INTERFACE _TURN_OFF_PLATFORM_STRING=1)
