/* The host's end of the line: a pseudo terminal, or a TCP port of this machine.
 *
 * A pty's master sees POLLHUP as long as no program has the slave open, once one has had it. A close and an open
 * between two looks would go unseen so; inotify tells of them. Bytes of the firmware are thrown away while nobody has
 * the port open, as an adapter does.
 */
#include "board.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAKEN_AT_ONCE 64  /* as much as the buffer of a USB adapter; the rest waits in the system, and then in the host */

static void opened(struct board *b) {
    b->port.open = true;
    b->count.opens++;
    if (b->reset_on_open) {
        line_forget(&b->line);
        b->port.pending = 0;
        chip_reset(b);
    }
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void closed(struct board *b) {
    b->port.open = false;
    b->count.unread += b->port.pending;
    b->port.pending = 0;
}

/* Pseudo terminal */

static void watch(struct port *p) {
    p->openers = 0;
    p->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (p->watch >= 0)
        inotify_add_watch(p->watch, p->name, IN_OPEN | IN_CLOSE);
}

/* Open the slave and let it go: from then on POLLHUP says that nobody has it. */
static bool touch(const struct port *p, unsigned baud) {
    int slave = open(p->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    bool done = slave >= 0 && (baud ? termios_make_raw(slave, baud) : termios_forget_input(slave));
    close_fd(&slave);
    return done;
}

/* What a program has not read before it closed the port is not for the next one. */
static void forget_unread(struct port *p) {
    close_fd(&p->watch);  /* what we do ourselves is no news */
    touch(p, 0);
    watch(p);
}

static bool plug_pty(struct board *b) {
    struct port *p = &b->port;
    p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (p->fd < 0 || grantpt(p->fd) || unlockpt(p->fd) || ptsname_r(p->fd, p->name, sizeof p->name))
        return false;
    if (!touch(p, b->initial_baud))
        return false;
    watch(p);
    if (p->link) {
        unlink(p->link);
        return !symlink(p->name, p->link);
    }
    return true;
}

/* Follow opens and closes; true if the port was closed by all and opened again since the last look. */
static bool reopened(struct port *p) {
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool again = false, was_open = p->openers > 0;
    ssize_t length;
    while (p->watch >= 0 && (length = read(p->watch, events, sizeof events)) > 0)
        for (char *at = events; at < events + length;) {
            struct inotify_event *event = (struct inotify_event *)at;
            at += sizeof *event + event->len;
            if (event->mask & IN_CLOSE && p->openers > 0)
                p->openers--;
            if (event->mask & IN_OPEN && p->openers++ == 0)
                again = was_open;
        }
    return again;
}

static void take(struct board *b) {
    uint8_t bytes[4096];
    size_t waiting = b->line.length, room = line_room(&b->line);
    size_t limit = !b->port.open ? sizeof bytes : waiting < TAKEN_AT_ONCE ? TAKEN_AT_ONCE - waiting : 0;
    limit = limit > room ? room : limit;
    if (!limit)
        return;
    ssize_t length = read(b->port.fd, bytes, limit < sizeof bytes ? limit : sizeof bytes);
    if (length > 0)
        line_from_host(b, bytes, (size_t)length);
    else if (b->port.transport == TCP && (!length || (errno != EAGAIN && errno != EINTR))) {
        close_fd(&b->port.fd);
        closed(b);
    }
}

static void look_at_pty(struct board *b) {
    struct port *p = &b->port;
    struct pollfd look = {.fd = p->fd, .events = POLLIN};
    bool again = reopened(p);
    poll(&look, 1, 0);
    bool open_now = !(look.revents & POLLHUP);
    if (p->open && (!open_now || again)) {
        closed(b);
        forget_unread(p);
    }
    if (!open_now) {
        p->openers = 0;
    } else if (!p->open) {
        p->openers += !p->openers;
        opened(b);
    }
    p->baud = termios_baud(p->fd);
    if (look.revents & POLLIN)
        take(b);
}

/* TCP */

static bool plug_tcp(struct board *b) {
    struct port *p = &b->port;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(p->number)};
    socklen_t size = sizeof address;
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->listener < 0)
        return false;
    setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(p->listener, (struct sockaddr *)&address, size) || listen(p->listener, 1) ||
        getsockname(p->listener, (struct sockaddr *)&address, &size))
        return false;
    p->number = ntohs(address.sin_port);  /* the same when plugged again */
    snprintf(p->name, sizeof p->name, "127.0.0.1:%u", p->number);
    return true;
}

static void look_at_tcp(struct board *b) {
    struct port *p = &b->port;
    int yes = 1;
    if (p->fd >= 0) {
        take(b);
    } else if ((p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        opened(b);
    }
}

/* Both */

/* Plug the cable in; `errno` says why that failed. */
bool port_plug(struct board *b) {
    b->port.fd = b->port.listener = b->port.watch = -1;
    b->port.plugged = b->port.transport == PTY ? plug_pty(b) : plug_tcp(b);
    return b->port.plugged;
}

/* Pull it out: programs that have the port open find it gone. */
void port_unplug(struct board *b) {
    struct port *p = &b->port;
    if (!p->plugged)
        return;
    if (p->open)
        closed(b);
    close_fd(&p->watch);
    close_fd(&p->fd);
    close_fd(&p->listener);
    if (p->transport == PTY && p->link)
        unlink(p->link);
    p->plugged = false;
}

/* See whether the port was opened or closed, and take what the host has sent. */
void port_look(struct board *b) {
    if (b->port.plugged && b->port.transport == PTY)
        look_at_pty(b);
    else if (b->port.plugged)
        look_at_tcp(b);
}

void port_put(struct board *b, uint8_t byte) {
    if (b->port.open && b->port.pending < OUT)
        b->port.out[b->port.pending++] = byte;
    else
        b->count.unread++;
}

void port_flush(struct board *b) {
    struct port *p = &b->port;
    if (!p->pending)
        return;
    ssize_t length = p->transport == TCP ? send(p->fd, p->out, p->pending, MSG_NOSIGNAL)
                                         : write(p->fd, p->out, p->pending);
    if (length > 0) {
        p->pending -= (size_t)length;
        memmove(p->out, p->out + length, p->pending);
    }
}

/* What to wait for besides time; -1: nothing. A closed pty would be ready all the time. */
int port_fd(const struct board *b) {
    const struct port *p = &b->port;
    if (!p->plugged || b->line.length >= TAKEN_AT_ONCE)
        return -1;
    return p->open ? p->fd : p->listener;
}
