// Prints the seconds of CLOCK_MONOTONIC and CLOCK_BOOTTIME.
#include <stdio.h>
#include <time.h>

int main(void) {
  struct timespec monotonic, boot;
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  printf("%lld %lld\n", (long long)monotonic.tv_sec, (long long)boot.tv_sec);
  return 0;
}
