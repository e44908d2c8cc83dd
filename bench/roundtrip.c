// One query at a time: sends, waits for the answer, sends the next. Shows what a person's single look-up costs.
// usage: roundtrip PORT COUNT < names, one a line; prints "p50_us p99_us max_us lost nxdomain noerror other".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }
static int by_size(const void *x, const void *y) { double d = *(double *)x - *(double *)y; return (d > 0) - (d < 0); }

static int question(unsigned char *p, const char *name, unsigned id) {
  static const unsigned char head[12] = {0, 0, 1, 0, 0, 1}, tail[5] = {0, 0, 1, 0, 1};
  memcpy(p, head, 12);
  p[0] = id >> 8, p[1] = id;
  int at = 12;
  for (size_t n; *name; name += n + (name[n] == '.')) {
    n = strcspn(name, ".");
    p[at++] = n, memcpy(p + at, name, n), at += n;
  }
  memcpy(p + at, tail, 5);
  return at + 5;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int fd = socket(AF_INET, SOCK_DGRAM, 0), want = atoi(argv[2]), done = 0, lost = 0, rcode[16] = {0};
  struct sockaddr_in to = {AF_INET, htons(atoi(argv[1])), {htonl(INADDR_LOOPBACK)}, {0}};
  struct timeval patience = {2, 0};
  double *took = calloc(want, sizeof *took);
  char line[512]; unsigned char out[600], in[4096];
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (void *)&to, sizeof to)) { perror("roundtrip"); return 1; }
  for (unsigned id = 1; done + lost < want && fgets(line, sizeof line, stdin); id++) {
    line[strcspn(line, " \n")] = 0;
    int size = question(out, line, id), n;
    double start = now();
    send(fd, out, size, 0);
    do n = recv(fd, in, sizeof in, 0); while (n >= 4 && (in[0] != out[0] || in[1] != out[1]));
    if (n < 4) { lost++; continue; }
    took[done++] = now() - start;
    rcode[in[3] & 15]++;
  }
  if (!done) { printf("0 0 0 %d 0 0 0\n", lost); return 0; }
  qsort(took, done, sizeof *took, by_size);
  printf("%.1f %.1f %.1f %d %d %d %d\n", took[done / 2], took[done * 99 / 100], took[done - 1], lost, rcode[3], rcode[0], done - rcode[0] - rcode[3]);
}
