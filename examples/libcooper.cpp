// Runs a command in a container made from a libcontainer configuration, with the installed library:
//
//   c++ -std=c++17 libcooper.cpp $(pkg-config --cflags --libs cooper) -o box
//   ./box STATE-DIRECTORY ID CONFIG.json COMMAND [ARGUMENT...]
#include <cooper/cooper.hpp>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s STATE-DIRECTORY ID CONFIG.json COMMAND [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  try {
    std::ifstream file(argv[3]);
    const std::string config{std::istreambuf_iterator<char>(file), {}};
    cooper::Factory factory(argv[1]);
    cooper::Container container = factory.create(argv[2], config);
    int status = 0;
    try {
      container.set_hooks({[](const std::string& state) {
                             std::printf("prestart %s\n", state.c_str());
                             return std::fflush(stdout) == 0;
                           },
                           nullptr,
                           [](const std::string&) {
                             std::puts("poststop");
                             return true;
                           }});
      cooper::ProcessOptions options;
      options.args.assign(argv + 4, argv + argc);
      options.env = {"PATH=/bin:/usr/bin"};
      cooper::Process init = container.start(options);
      std::printf("status %d, %zu processes\n", static_cast<int>(container.status()), container.processes().size());
      container.pause();
      std::printf("status %d\n", static_cast<int>(container.status()));
      container.resume();
      std::fflush(stdout);
      cooper::ProcessOptions second = options;
      second.args = {"echo", "joined"};
      if (container.start(second).wait() != 0) return 1;
      status = init.wait();
    } catch (const cooper::Error&) {
      if (container.status() != COOPER_DESTROYED) container.signal(SIGKILL);
      container.destroy();
      throw;
    }
    container.destroy();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  } catch (const cooper::Error& error) {
    std::fprintf(stderr, "%s: %s\n", cooper_code_name(error.code()), error.what());
    return 1;
  }
}
