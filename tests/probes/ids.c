// Prints the identity of the process: user and group ids, supplementary groups, umask.
#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

int main(void) {
  uid_t ru = 0, eu = 0, su = 0;
  gid_t rg = 0, eg = 0, sg = 0;
  gid_t groups[1024];
  getresuid(&ru, &eu, &su);
  getresgid(&rg, &eg, &sg);
  printf("uid %u %u %u\ngid %u %u %u\ngroups", ru, eu, su, rg, eg, sg);
  int count = getgroups(1024, groups);
  for (int i = 0; i < count; ++i) printf(" %u", groups[i]);
  printf("\numask %04o\n", umask(0));
  return 0;
}
