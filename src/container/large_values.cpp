// Copying, moving and destroying the large values of this room: made here once, not in each source that holds one.
#include "container/extras.h"
#include "container/plan.h"

namespace cooper::container {

Step::Step(Actor who, StepBody what) : actor(who), body(std::move(what)) {}
Step::Step(const Step&) = default;
Step::Step(Step&&) noexcept = default;
Step& Step::operator=(const Step&) = default;
Step& Step::operator=(Step&&) noexcept = default;
Step::~Step() = default;

Extras::Extras() = default;
Extras::Extras(const Extras&) = default;
Extras::Extras(Extras&&) noexcept = default;
Extras& Extras::operator=(const Extras&) = default;
Extras& Extras::operator=(Extras&&) noexcept = default;
Extras::~Extras() = default;

}  // namespace cooper::container
