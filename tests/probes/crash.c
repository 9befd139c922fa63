// Ends by a real fault: SIGSEGV, which kills even a PID 1.
int main(void) {
  volatile int* nowhere = (volatile int*)8;
  *nowhere = 1;
  return 0;
}
