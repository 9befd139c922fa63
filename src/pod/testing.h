// A directory of its own for each test, removed with it. For unit tests of this room only.
#pragma once

#include <stdlib.h>

#include <string>

#include "io/file.h"
#include "pod/layout.h"
#include "pod/pod.h"
#include "sys/file.h"

namespace cooper::pod {

class TempRoots {
 public:
  TempRoots() {
    char pattern[] = "/tmp/cooper-pod-test-XXXXXX";
    path_ = ::mkdtemp(pattern);
    options_.root = path_ + "/root";
    options_.run_root = path_ + "/run";
    options_.cgroup_parent = "/cooper-unit-test-that-is-never-made";
  }
  ~TempRoots() { (void)!io::remove_tree(sys::kCwd, path_).ok(); }
  TempRoots(const TempRoots&) = delete;
  TempRoots& operator=(const TempRoots&) = delete;

  const std::string& path() const { return path_; }
  const EngineOptions& options() const { return options_; }
  Layout layout() const { return Layout(options_); }

 private:
  std::string path_;
  EngineOptions options_;
};

}  // namespace cooper::pod
