#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime {

Process::Process() = default;
Process::Process(const Process&) = default;
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(const Process&) = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

Resources::Resources() = default;
Resources::Resources(const Resources&) = default;
Resources::Resources(Resources&&) noexcept = default;
Resources& Resources::operator=(const Resources&) = default;
Resources& Resources::operator=(Resources&&) noexcept = default;
Resources::~Resources() = default;

Linux::Linux() = default;
Linux::Linux(const Linux&) = default;
Linux::Linux(Linux&&) noexcept = default;
Linux& Linux::operator=(const Linux&) = default;
Linux& Linux::operator=(Linux&&) noexcept = default;
Linux::~Linux() = default;

Config::Config() = default;
Config::Config(const Config&) = default;
Config::Config(Config&&) noexcept = default;
Config& Config::operator=(const Config&) = default;
Config& Config::operator=(Config&&) noexcept = default;
Config::~Config() = default;

}  // namespace cooper::spec::oci_runtime
