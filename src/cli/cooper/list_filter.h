// ps --filter KEY=VALUE: values of one key are alternatives, different keys must all hold (podman's rule).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/cooper/target.h"

namespace cooper::cli {

class ListFilter {
 public:
  // Keys: id name pod status label ancestor exited. Errc::kInvalidArgument for others.
  static Result<ListFilter> parse(const std::vector<std::string>& texts);
  bool matches(const Row& row) const;
  // True when the filter itself says which states it wants: then exited ones are shown, too.
  bool names_state() const { return wanted_.count("status") != 0 || wanted_.count("exited") != 0; }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> wanted_;
};

}  // namespace cooper::cli
