#pragma once
// The APIService through which the API server reaches the record: the leader keeps its caBundle.
#include <stop_token>
#include <string>

#include "kube/client.h"

namespace ybis::op {

/// Writes the authority into v1alpha1.record.ybis.dev when that object is there, names our Service and has
/// another one. An object that is not there is no error: the chart's value is off.
Status EnsureApiService(kube::Api& api, const kube::Key& service, const std::string& authority_pem,
                        std::stop_token stop);

}  // namespace ybis::op
