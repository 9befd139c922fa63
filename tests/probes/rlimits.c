// Prints all resource limits: "NUMBER SOFT HARD", -1 for no limit.
#include <stdio.h>
#include <sys/resource.h>

int main(void) {
  for (int i = 0; i < 16; ++i) {
    struct rlimit limit;
    if (getrlimit(i, &limit) != 0) continue;
    printf("%d %lld %lld\n", i, (long long)limit.rlim_cur, (long long)limit.rlim_max);
  }
  return 0;
}
