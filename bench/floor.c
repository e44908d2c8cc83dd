// The floor: what the kernel alone costs. Receives up to BATCH datagrams, turns each into a reply by setting QR, sends them back.
// usage: floor PORT [BATCH]; on SIGTERM it prints "calls packets" (their quotient is the mean batch) and ends.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
enum { MAX = 64, SIZE = 512 };
static unsigned long calls, packets;
static void report(int sig) { (void)sig; printf("%lu %lu\n", calls, packets); fflush(stdout); _exit(0); }
int main(int argc, char **argv) {
  static char data[MAX][SIZE]; static struct sockaddr_in from[MAX]; static struct iovec iov[MAX]; static struct mmsghdr msg[MAX];
  int fd = socket(AF_INET, SOCK_DGRAM, 0), batch = argc > 2 ? atoi(argv[2]) : MAX, room = 4 << 20;
  struct sockaddr_in own = {AF_INET, htons(atoi(argv[1])), {htonl(INADDR_LOOPBACK)}, {0}};
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (batch < 1 || batch > MAX || bind(fd, (void *)&own, sizeof own)) { perror("floor"); return 1; }
  signal(SIGTERM, report);
  for (;;) {
    for (int i = 0; i < batch; i++) {
      iov[i] = (struct iovec){data[i], SIZE};
      msg[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &iov[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(fd, msg, batch, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++) { data[i][2] |= 0x80; iov[i].iov_len = msg[i].msg_len; }
    for (int done = 0, sent; done < n && (sent = sendmmsg(fd, msg + done, n - done, 0)) > 0;) done += sent;
    calls++, packets += n > 0 ? n : 0;
  }
}
