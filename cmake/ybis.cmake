# ybis_library(NAME DEPS...)     static library of every .cc of the folder and the folders below it
# ybis_program(NAME DEPS...)     the same as a program, all but main.cc in a library NAME_lib that tests link
# ybis_test(NAME DEPS...)        one GoogleTest program of every *_test.cc of the folder, labelled `unit`
# ybis_integration_test(NAME DEPS...)  the same against real servers, labelled `integration`
# Sources are found by glob, so that a new node type, verb or rule is one new file and nothing else changes.

set(YBIS_WARNINGS -Wall -Wextra -Werror -Wnon-virtual-dtor -Woverloaded-virtual -Wshadow=local -Wno-missing-field-initializers)
set(YBIS_SANITIZE "" CACHE STRING "sanitizers, comma separated: address,undefined or thread")
if(YBIS_SANITIZE)
  # The sanitizers' own code makes g++ 12 warn of what is not there; the other builds keep warnings as errors.
  list(REMOVE_ITEM YBIS_WARNINGS -Werror)
  add_compile_options(-fsanitize=${YBIS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${YBIS_SANITIZE})
endif()
if(YBIS_FUZZ)
  # Clang's libFuzzer counts the branches of everything; Boost 1.74 does not know clang's coroutines by itself.
  add_compile_options(-fsanitize=fuzzer-no-link -Wno-unknown-warning-option)
  add_compile_definitions(BOOST_ASIO_HAS_CO_AWAIT=1 BOOST_ASIO_HAS_STD_COROUTINE=1)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-fpch-preprocess)
  # g++ 12 sees overflows inside its own std::string once it optimises (GCC bugs 105329, 105651): those warnings are off there.
  list(APPEND YBIS_WARNINGS $<$<CONFIG:Release>:-Wno-array-bounds> $<$<CONFIG:Release>:-Wno-stringop-overflow>
       $<$<CONFIG:Release>:-Wno-stringop-overread> $<$<CONFIG:Release>:-Wno-restrict> $<$<CONFIG:Release>:-Wno-maybe-uninitialized>)
endif()
find_program(YBIS_MOLD mold)
if(YBIS_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
add_compile_options($<$<CONFIG:Release>:-fstack-protector-strong> $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
add_link_options(LINKER:-z,relro,-z,now)

# One precompiled header for all: nlohmann_json alone costs seconds a file without it.
add_library(ybis_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
target_include_directories(ybis_pch PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/lib)
target_compile_options(ybis_pch PRIVATE ${YBIS_WARNINGS})
target_link_libraries(ybis_pch PUBLIC nlohmann_json::nlohmann_json fmt::fmt Threads::Threads)
target_precompile_headers(ybis_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)
# ccache would tell precompiled headers apart by their bytes, which hold the checkout's path. It takes this sum of what they are
# made from instead, so that a fresh clone finds what another has compiled.
file(SHA256 ${CMAKE_SOURCE_DIR}/cmake/pch.h ybis_pch_text)
string(TOUPPER "${CMAKE_BUILD_TYPE}" ybis_build_type)
string(SHA256 ybis_pch_sum "${ybis_pch_text} ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${CMAKE_CXX_FLAGS} \
${CMAKE_CXX_FLAGS_${ybis_build_type}} ${YBIS_SANITIZE} ${nlohmann_json_VERSION} ${fmt_VERSION}")
file(WRITE ${CMAKE_BINARY_DIR}/CMakeFiles/ybis_pch.dir/cmake_pch.hxx.gch.sum "${ybis_pch_sum}")

function(ybis_target name)
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/lib)
  target_compile_options(${name} PRIVATE ${YBIS_WARNINGS})
  target_link_libraries(${name} PUBLIC nlohmann_json::nlohmann_json fmt::fmt Threads::Threads ${ARGN})
  target_precompile_headers(${name} REUSE_FROM ybis_pch)
  get_target_property(type ${name} TYPE)
  if(YBIS_SANITIZE AND type STREQUAL EXECUTABLE)
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/sanitizer.cc)
  endif()
endfunction()

function(ybis_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(${name} STATIC ${sources} ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
  ybis_target(${name} ${ARGN})
endfunction()

function(ybis_program name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/main.cc)
  string(REPLACE "-" "_" lib ${name}_lib)
  add_library(${lib} STATIC ${sources} ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
  ybis_target(${lib} ${ARGN})
  add_executable(${name} ${CMAKE_CURRENT_SOURCE_DIR}/main.cc)
  ybis_target(${name} ${lib})
endfunction()

# Shared by the two below: a program of every *_test.cc of the folder, or nothing when there is none.
function(ybis_test_program name label timeout)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  ybis_target(${name} ${ARGN} ybis_test_support GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout})
endfunction()

# Seconds that a test program may take; with sanitizers, five times as many.
set(YBIS_UNIT_TIMEOUT 300)
set(YBIS_INTEGRATION_TIMEOUT 1800)
if(YBIS_SANITIZE)
  set(YBIS_UNIT_TIMEOUT 600)
  set(YBIS_INTEGRATION_TIMEOUT 3000)
endif()

function(ybis_test name)
  ybis_test_program(${name} unit ${YBIS_UNIT_TIMEOUT} ${ARGN})
endfunction()

function(ybis_integration_test name)
  ybis_test_program(${name} integration ${YBIS_INTEGRATION_TIMEOUT} ${ARGN})
endfunction()

# ybis_embed(TARGET NAMESPACE FUNCTION FILES...) compiles text files into TARGET. The function
# `std::string_view NAMESPACE::FUNCTION(std::string_view file_name)` returns a file's bytes, empty when there is none such;
# declare it in a header of your own.
function(ybis_embed target namespace function)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${function}_embedded.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -D OUT=${out} -D NAMESPACE=${namespace} -D FUNCTION=${function} "-DFILES=${ARGN}"
            -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
