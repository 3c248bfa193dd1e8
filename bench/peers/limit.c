/*
 * The limit: what the kernel takes for the job and hardly anything else. One process, epoll, one `write` per connection and
 * turn of what was published since the last, encoded once. It answers the greeting of the clients without understanding it.
 * It does what bench/contender-process.ts says. Argument: the port. Linux.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, READ_BYTES = 65536, MOST_CONNECTIONS = 1 << 16, HEAD_ROOM = 10 };
#define TICK_NS 1000000
#define LONGEST_TICK_US 50000.0

struct buffer { char *bytes; size_t length, room; };

/* A connection's first bytes until its greeting is answered, and what the kernel has not taken yet. */
struct connection { int socket, upgraded; long channel; struct buffer in, out; };

struct channel { struct buffer queued; int *members; size_t count, room; int waiting; };

static struct connection *connections[MOST_CONNECTIONS];
static struct channel *channels;
static long channel_count;
static long *waiting;
static long waiting_count;
static int poll_fd;

struct order { double rate, begun, end; long channels, first, bytes, sent, running; char prefix[64]; };
static struct order order;

static void fail(const char *what) { perror(what); exit(1); }

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void append(struct buffer *buffer, const char *bytes, size_t length) {
  if (buffer->length + length > buffer->room) {
    size_t room = buffer->room ? buffer->room : 256;
    while (room < buffer->length + length) room *= 2;
    if (!(buffer->bytes = realloc(buffer->bytes, room))) fail("realloc");
    buffer->room = room;
  }
  memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
}

static void release(struct buffer *buffer) {
  free(buffer->bytes);
  *buffer = (struct buffer){0};
}

/* ---- SHA-1 and base64, for the handshake ---- */

static void sha1(const unsigned char *data, size_t length, unsigned char digest[20]) {
  uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  unsigned char padded[192] = {0};
  memcpy(padded, data, length);
  padded[length] = 0x80;
  size_t whole = ((length + 8) / 64 + 1) * 64;
  for (int i = 0; i < 8; i++) padded[whole - 1 - i] = (unsigned char)((uint64_t)length * 8 >> (8 * i));
  for (size_t at = 0; at < whole; at += 64) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
      w[i] = (uint32_t)padded[at + 4 * i] << 24 | (uint32_t)padded[at + 4 * i + 1] << 16 |
             (uint32_t)padded[at + 4 * i + 2] << 8 | padded[at + 4 * i + 3];
    for (int i = 16; i < 80; i++) {
      uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
      w[i] = x << 1 | x >> 31;
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
      uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
      uint32_t next = (a << 5 | a >> 27) + f + e + k + w[i];
      e = d; d = c; c = b << 30 | b >> 2; b = a; a = next;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char digest[20], char text[29]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int i = 0, at = 0; i < 20; i += 3, at += 4) {
    uint32_t three = (uint32_t)digest[i] << 16 | (i + 1 < 20 ? (uint32_t)digest[i + 1] << 8 : 0) | (i + 2 < 20 ? digest[i + 2] : 0);
    for (int j = 0; j < 4; j++) text[at + j] = digits[three >> (18 - 6 * j) & 63];
  }
  text[27] = '=';
  text[28] = 0;
}

/* ---- connections ---- */

static void finish(struct connection *connection) {
  connections[connection->socket] = NULL;
  if (connection->channel >= 0) {
    struct channel *channel = &channels[connection->channel];
    for (size_t i = 0; i < channel->count; i++)
      if (channel->members[i] == connection->socket) {
        channel->members[i] = channel->members[--channel->count];
        break;
      }
  }
  close(connection->socket);
  release(&connection->in);
  release(&connection->out);
  free(connection);
}

static void watch(struct connection *connection, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = connection->socket};
  epoll_ctl(poll_fd, EPOLL_CTL_MOD, connection->socket, &event);
}

/* Writes, and keeps what the kernel does not take. Returns 0 when the connection is gone. */
static int put(struct connection *connection, const char *bytes, size_t length) {
  size_t done = 0;
  if (connection->out.length == 0) {
    ssize_t written = write(connection->socket, bytes, length);
    if (written < 0 && errno != EAGAIN) { finish(connection); return 0; }
    done = written < 0 ? 0 : (size_t)written;
    if (done < length) watch(connection, EPOLLIN | EPOLLOUT);
  }
  if (done < length) append(&connection->out, bytes + done, length - done);
  return 1;
}

static void drain(struct connection *connection) {
  ssize_t written = write(connection->socket, connection->out.bytes, connection->out.length);
  if (written < 0) {
    if (errno != EAGAIN) finish(connection);
    return;
  }
  memmove(connection->out.bytes, connection->out.bytes + written, connection->out.length - (size_t)written);
  connection->out.length -= (size_t)written;
  if (connection->out.length == 0) watch(connection, EPOLLIN);
}

/* Puts the head of an unmasked text frame before `bytes`, where there must be room for it. Returns where the frame begins. */
static char *frame(char *bytes, size_t length) {
  char *begin;
  if (length < 126) {
    begin = bytes - 2;
    begin[1] = (char)length;
  } else if (length < 65536) {
    begin = bytes - 4;
    begin[1] = 126;
    begin[2] = (char)(length >> 8);
    begin[3] = (char)length;
  } else {
    begin = bytes - 10;
    begin[1] = 127;
    for (int i = 0; i < 8; i++) begin[2 + i] = (char)((uint64_t)length >> (56 - 8 * i));
  }
  begin[0] = (char)0x81;
  return begin;
}

static void upgrade(struct connection *connection) {
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  char *key = strcasestr(connection->in.bytes, "Sec-WebSocket-Key: ");
  if (!key) { finish(connection); return; }
  char accept[64], text[29], answer[200];
  unsigned char digest[20];
  memcpy(accept, key + 19, 24);
  memcpy(accept + 24, guid, sizeof guid - 1);
  sha1((unsigned char *)accept, 24 + sizeof guid - 1, digest);
  base64(digest, text);
  int length = snprintf(answer, sizeof answer,
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", text);
  connection->in.length = 0;
  connection->upgraded = 1;
  put(connection, answer, (size_t)length);
}

/* The greeting: the number of the one channel stands behind `"channel":"c:`. The mask is zero. */
static void greet(struct connection *connection) {
  char *name = strstr(connection->in.bytes, "\"channel\":\"");
  if (!name || !strstr(name, "}}")) return;
  long number = strtol(strchr(name + 11, ':') + 1, NULL, 10);
  if (number >= channel_count) {
    channels = realloc(channels, (size_t)(number + 1) * 2 * sizeof *channels);
    waiting = realloc(waiting, (size_t)(number + 1) * 2 * sizeof *waiting);
    if (!channels || !waiting) fail("realloc");
    memset(channels + channel_count, 0, ((size_t)(number + 1) * 2 - (size_t)channel_count) * sizeof *channels);
    channel_count = (number + 1) * 2;
  }
  struct channel *channel = &channels[number];
  if (channel->count == channel->room) {
    channel->room = channel->room ? channel->room * 2 : 1;
    if (!(channel->members = realloc(channel->members, channel->room * sizeof *channel->members))) fail("realloc");
  }
  channel->members[channel->count++] = connection->socket;
  connection->channel = number;
  release(&connection->in);
  char answer[HEAD_ROOM + 64];
  int length = snprintf(answer + HEAD_ROOM, 64, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{}}");
  char *begin = frame(answer + HEAD_ROOM, (size_t)length);
  put(connection, begin, (size_t)(answer + HEAD_ROOM + length - begin));
}

static void take(struct connection *connection) {
  static char bytes[READ_BYTES];
  ssize_t length = read(connection->socket, bytes, sizeof bytes);
  if (length <= 0) {
    if (length == 0 || errno != EAGAIN) finish(connection);
    return;
  }
  if (connection->channel >= 0) return;
  append(&connection->in, bytes, (size_t)length);
  append(&connection->in, "", 1);
  connection->in.length--;
  /* Heads of frames hold zeroes, which would end the text. */
  for (size_t i = 0; i < connection->in.length; i++)
    if (connection->in.bytes[i] == 0) connection->in.bytes[i] = ' ';
  if (!connection->upgraded) {
    if (strstr(connection->in.bytes, "\r\n\r\n")) upgrade(connection);
  } else {
    greet(connection);
  }
}

static void welcome(int listener) {
  int one = 1, fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    struct connection *connection = fd < MOST_CONNECTIONS ? calloc(1, sizeof *connection) : NULL;
    if (!connection) { close(fd); continue; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connection->socket = fd;
    connection->channel = -1;
    connections[fd] = connection;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

/* ---- publishing ---- */

static void publish_one(long number, double due) {
  long which = number % order.channels;
  if (which >= channel_count) return;
  struct channel *channel = &channels[which];
  struct buffer *queued = &channel->queued;
  char text[512];
  if (queued->length == 0) {
    append(queued, "          ", HEAD_ROOM);
    waiting[waiting_count++] = which;
  } else {
    append(queued, "\n", 1);
  }
  int length = snprintf(text, sizeof text, "{\"push\":{\"channel\":\"%s%ld\",\"pub\":{\"data\":\"%010ld.%016.0f.",
    order.prefix, which, number / order.channels, due);
  append(queued, text, (size_t)length);
  long fill = order.bytes - 2 - 28;
  memset(text, 'x', (size_t)fill);
  memcpy(text + fill, "\"}}}", 4);
  append(queued, text, (size_t)fill + 4);
}

/* One write per connection. */
static void flush_waiting(void) {
  for (long i = 0; i < waiting_count; i++) {
    struct channel *channel = &channels[waiting[i]];
    char *end = channel->queued.bytes + channel->queued.length;
    char *begin = frame(channel->queued.bytes + HEAD_ROOM, channel->queued.length - HEAD_ROOM);
    for (size_t member = 0; member < channel->count;)
      if (put(connections[channel->members[member]], begin, (size_t)(end - begin))) member++;
    channel->queued.length = 0;
  }
  waiting_count = 0;
}

static void publish_due(void) {
  double ticked = now_us();
  double until = ticked < order.end ? ticked : order.end;
  long due = (long)((until - order.begun) / 1e6 * order.rate);
  while (order.sent < due) {
    publish_one(order.first + order.sent, order.begun + order.sent / order.rate * 1e6);
    order.sent++;
    if (now_us() - ticked > LONGEST_TICK_US) break;
  }
  flush_waiting();
  if (ticked >= order.end) {
    order.running = 0;
    printf("published %ld\n", order.sent);
  }
}

static void obey(char *line) {
  double ms;
  if (strncmp(line, "collect", 7) == 0) {
    malloc_trim(0);
    printf("collected\n");
  } else if (sscanf(line, "publish %lf %lf %63s %ld %ld %ld", &order.rate, &ms, order.prefix, &order.channels, &order.first,
                    &order.bytes) == 6 && order.bytes >= 30 && order.bytes < 500) {
    order.sent = 0;
    order.begun = now_us();
    order.end = order.begun + ms * 1000;
    order.running = 1;
    printf("publishing\n");
  }
}

static void listen_to_orders(void) {
  static char line[1024];
  static size_t length;
  ssize_t more = read(0, line + length, sizeof line - 1 - length);
  if (more == 0) exit(0);
  if (more < 0) return;
  length += (size_t)more;
  line[length] = 0;
  for (char *end; (end = strchr(line, '\n'));) {
    *end = 0;
    obey(line);
    length -= (size_t)(end + 1 - line);
    memmove(line, end + 1, length + 1);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) { fprintf(stderr, "usage: limit PORT\n"); return 2; }
  setvbuf(stdout, NULL, _IOLBF, 0);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) fail("listen");
  struct itimerspec tick = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS};
  timerfd_settime(timer, 0, &tick, NULL);
  poll_fd = epoll_create1(0);
  int fixed[] = {0, listener, timer};
  for (int i = 0; i < 3; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fixed[i]};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fixed[i], &event);
  }
  printf("listening\n");
  static struct epoll_event events[EVENTS];
  for (;;) {
    int count = epoll_wait(poll_fd, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == 0) listen_to_orders();
      else if (fd == listener) welcome(listener);
      else if (fd == timer) {
        uint64_t times;
        if (read(timer, &times, sizeof times) > 0 && order.running) publish_due();
      } else if (connections[fd]) {
        if (events[i].events & EPOLLOUT) drain(connections[fd]);
        if (connections[fd] && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take(connections[fd]);
      }
    }
  }
}
