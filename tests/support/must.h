#pragma once
// Set-up that has to work before there is anything to test or to measure.
#include <stdexcept>
#include <utility>

#include "base/result.h"

namespace ybis::testing {

/// The value; throws the error's message when there is none.
template <class T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

inline void Must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message);
}

}  // namespace ybis::testing
