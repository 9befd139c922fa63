// Prints the memory policy of the process, with its flags, and its nodes: "mode=0xN nodes=0xN". Mode -1: the kernel has
// none.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  int mode = 0;
  unsigned long nodes[16] = {0};
  if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, 0, 0) != 0) mode = -1;
  printf("mode=0x%x nodes=0x%lx\n", (unsigned)mode, nodes[0]);
  return 0;
}
