// Seccomp profiles and limits of the two formats.
#pragma once

#include <string>
#include <vector>

#include "convert/convert.h"

namespace cooper::convert {

oci::Seccomp oci_seccomp(const libcontainer::Seccomp& source, std::vector<Lost>& lost);
libcontainer::Seccomp libcontainer_seccomp(const oci::Seccomp& source, libcontainer::Generation generation,
                                           std::vector<Lost>& lost);

void read_resources(const oci::Resources& source, libcontainer::Generation generation, libcontainer::Cgroup& out,
                    std::vector<Lost>& lost);

}  // namespace cooper::convert
