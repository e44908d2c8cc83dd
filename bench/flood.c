// Load that leaves the server no pause: sends and receives in batches itself, so a server that batches does so fully.
// dnsperf costs more a query than the floor does, so under dnsperf the floor sleeps between small batches and looks dearer than it is.
// usage: flood PORT SECONDS < queries ("name A"); prints "sent answered lost qps" and the counts of rcodes 0 to 5.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
enum { BATCH = 64, WINDOW = 512, MOST = 1 << 20, PACKET = 96, PATIENCE_MS = 500 };
static unsigned char (*packets)[PACKET];
static int sizes[MOST];
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }

static int load(void) {
  char line[256]; int count = 0;
  packets = malloc((size_t)MOST * PACKET);
  while (count < MOST && fgets(line, sizeof line, stdin)) {
    unsigned char *p = packets[count]; int at = 12; const char *name = line; size_t n;
    line[strcspn(line, " \n")] = 0;
    if (strlen(line) > PACKET - 20) continue;
    memcpy(p, "\0\0\1\0\0\1\0\0\0\0\0\0", 12);
    for (; *name; name += n + (name[n] == '.')) n = strcspn(name, "."), p[at++] = n, memcpy(p + at, name, n), at += n;
    memcpy(p + at, "\0\0\1\0\1", 5), sizes[count++] = at + 5;
  }
  return count;
}

int main(int argc, char **argv) {
  static struct mmsghdr out[BATCH], in[BATCH]; static struct iovec outv[BATCH], inv[BATCH]; static unsigned char room[BATCH][512];
  if (argc < 3) return 2;
  int fd = socket(AF_INET, SOCK_DGRAM, 0), have = load(), buffer = 4 << 20;
  struct sockaddr_in to = {AF_INET, htons(atoi(argv[1])), {htonl(INADDR_LOOPBACK)}, {0}};
  unsigned long sent = 0, answered = 0, lost = 0, rcode[16] = {0};
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  if (!have || connect(fd, (void *)&to, sizeof to)) { perror("flood"); return 1; }
  for (int i = 0; i < BATCH; i++) {
    out[i].msg_hdr = (struct msghdr){.msg_iov = &outv[i], .msg_iovlen = 1};
    inv[i] = (struct iovec){room[i], sizeof room[i]};
    in[i].msg_hdr = (struct msghdr){.msg_iov = &inv[i], .msg_iovlen = 1};
  }
  double start = now(), stop = start + atof(argv[2]), last = start;
  for (int open = 1; open || answered + lost < sent;) {
    open = open && now() < stop;
    while (open && sent - answered - lost + BATCH <= WINDOW) {
      for (int i = 0; i < BATCH; i++) {
        int at = (sent + i) % have;
        packets[at][0] = (sent + i) >> 8, packets[at][1] = sent + i;
        outv[i] = (struct iovec){packets[at], sizes[at]};
      }
      int n = sendmmsg(fd, out, BATCH, 0);
      if (n > 0) sent += n; else break;
    }
    struct pollfd wait = {fd, POLLIN, 0};
    if (poll(&wait, 1, PATIENCE_MS) == 0) { lost = sent - answered; continue; }
    int n = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) rcode[room[i][3] & 15]++;
    if (n > 0) answered += n, last = now();
  }
  printf("%lu %lu %lu %.1f", sent, answered, lost, answered / (last > start ? last - start : 1));
  for (int i = 0; i < 6; i++) printf(" %lu", rcode[i]);
  return puts("") < 0;
}
