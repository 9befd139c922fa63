/* The smallest use of the C interface: one container, one process, its exit status.
 *
 *   cc libcooper.c $(pkg-config --cflags --libs cooper) -o box
 *   ./box STATE-DIRECTORY ID "$(cat CONFIG.json)" COMMAND [ARGUMENT...] */
#include <cooper/cooper.h>
#include <stdio.h>
#include <sys/wait.h>

int main(int argc, char** argv) {
  cooper_factory* factory = NULL;
  cooper_container* container = NULL;
  cooper_process* process = NULL;
  cooper_process_options options = COOPER_PROCESS_OPTIONS_INIT;
  cooper_error error = {0};
  int status = 0;
  if (argc < 5) return 2;
  options.args = (const char* const*)argv + 4;
  if (cooper_factory_open(argv[1], &factory, &error) == COOPER_OK &&
      cooper_factory_create(factory, argv[2], argv[3], &container, &error) == COOPER_OK) {
    if (cooper_container_start(container, &options, &process, &error) == COOPER_OK)
      (void)cooper_process_wait(process, &status, &error);
    if (error.code == COOPER_OK)
      (void)cooper_container_destroy(container, &error);
    else
      (void)cooper_container_destroy(container, NULL);
  }
  if (error.code != COOPER_OK) {
    fprintf(stderr, "%s: %s\n", cooper_code_name(error.code), error.message);
    status = (int)(error.code << 8);
  }
  cooper_process_free(process);
  cooper_container_free(container);
  cooper_factory_free(factory);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
