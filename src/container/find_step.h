#pragma once

#include <variant>

#include "container/plan.h"

namespace cooper::container {

// The first step of that kind, or nullptr.
template <typename T>
const T* find_step(const Plan& plan) {
  for (const Step& step : plan.steps) {
    if (const T* body = std::get_if<T>(&step.body)) return body;
  }
  return nullptr;
}

}  // namespace cooper::container
