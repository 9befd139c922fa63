// Prints scheduling policy, nice value, I/O priority (class and level) and personality:
// "policy=N nice=N io=CLASS:LEVEL personality=0xN".
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  long io = syscall(SYS_ioprio_get, 1, 0);
  printf("policy=%d nice=%d io=%ld:%ld personality=0x%x\n", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0),
         io >> 13, io & 0x1fff, personality(0xffffffff));
  return 0;
}
