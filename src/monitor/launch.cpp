#include "monitor/internal/launch_with.h"

namespace cooper::monitor {

Result<Launched> launch(PodSpec spec, const LaunchOptions& options) {
  const auto backend = internal::make_container_backend(spec.factory);
  return internal::launch_with(std::move(spec), options, *backend);
}

}  // namespace cooper::monitor
