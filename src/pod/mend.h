// Images of the store whose bytes are damaged or missing.
#pragma once

#include "base/error.h"
#include "pod/pod.h"

namespace cooper::pod {

// After `why`, which came of using the image: when it is damage, and the image has a name of a registry, takes the
// damaged blobs away and lets `fetch` bring these again, by the digest of the manifest; a line on standard error says
// so. An error is `why`, when nothing can be done about it, or with what kept it from being done.
Status mend_image(image::Store& store, const image::Image& image, const FetchImage& fetch, Error why);

}  // namespace cooper::pod
