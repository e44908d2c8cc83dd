// The upstream of every resolver in a run: answers any question at once, so that no figure holds an upstream's time.
// A and AAAA get one documentation address with TTL 3600, every other type NODATA with an SOA; EDNS is answered with EDNS.
// usage: stub PORT; not a name server: it looks at one question and refuses nothing but packets that cannot be a query.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
enum { A = 1, AAAA = 28, HEAD = 12, NEED_ROOM = 96 };
static const unsigned char a[] = "\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xc0\0\2\1";
static const unsigned char aaaa[] = "\xc0\x0c\0\x1c\0\1\0\0\x0e\x10\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1";
static const unsigned char soa[] = "\0\0\6\0\1\0\0\x0e\x10\0\x16\0\0\0\0\0\1\0\0\x0e\x10\0\0\x0e\x10\0\1\x51\x80\0\0\x0e\x10";
static const unsigned char opt[] = "\0\0\x29\4\xd0\0\0\0\0\0\0";

static int put(unsigned char *p, int at, const unsigned char *record, int size) { memcpy(p + at, record, size); return at + size; }

static int answer(unsigned char *p, int n) {
  int at = HEAD;
  if (n < HEAD + 5 || p[2] & 0x80 || p[4] || p[5] != 1) return 0;
  while (at < n && p[at]) at += p[at] + 1;
  if (at + 5 > n) return 0;
  int type = p[at + 1] << 8 | p[at + 2], edns = p[11];
  at += 5;
  p[2] |= 0x80, p[3] = 0x80;
  memset(p + 6, 0, 6);
  if (type == A) p[7] = 1, at = put(p, at, a, sizeof a - 1);
  else if (type == AAAA) p[7] = 1, at = put(p, at, aaaa, sizeof aaaa - 1);
  else p[9] = 1, at = put(p, at, soa, sizeof soa - 1);
  if (edns) p[11] = 1, at = put(p, at, opt, sizeof opt - 1);
  return at;
}

int main(int argc, char **argv) {
  unsigned char p[4096];
  struct sockaddr_in own = {AF_INET, htons(atoi(argv[argc - 1])), {htonl(INADDR_LOOPBACK)}, {0}}, from;
  int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(fd, (void *)&own, sizeof own)) { perror("stub"); return 1; }
  for (;;) {
    socklen_t len = sizeof from;
    int n = recvfrom(fd, p, sizeof p - NEED_ROOM, 0, (void *)&from, &len), size = n > 0 ? answer(p, n) : 0;
    if (size) sendto(fd, p, size, 0, (void *)&from, len);
  }
}
