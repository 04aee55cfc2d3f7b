/* The host's end of the line: a pseudo terminal, or a TCP port of this machine.
 *
 * A pty's master sees POLLHUP as long as no program has the slave open, once one has had it. A close and an open
 * between two looks would go unseen so; inotify tells of them, in their order. Bytes are read before the events are:
 * so none is taken for the present session's that was written after a close. Bytes of the firmware are thrown away
 * while nobody has the port open, as an adapter does.
 */
#include "port.h"
#include "chip.h"
#include "clock.h"
#include "line.h"
#include "termios2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANNOUNCED_WITHIN_NS 5000000
#define TAKEN_AT_ONCE 64  /* the buffer of a USB adapter; the rest waits in the system, and then in the host */

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

/* Open the slave for a moment: from then on POLLHUP says that nobody has it. What was not read there is forgotten: what
 * one program has not read is not for the next one. Only reading, so that inotify tells this close from the host's.
 */
static bool touch(const struct port *p, unsigned baud) {
    int slave = open(p->name, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    bool done = slave >= 0 && termios_forget_input(slave) && (!baud || termios_make_raw(slave, baud));
    close_fd(&slave);
    return done;
}

/* Remove the symbolic link; anything else of that name stays. */
static void unlink_ours(const struct port *p) {
    char target[1];
    if (p->link && readlink(p->link, target, sizeof target) >= 0)
        unlink(p->link);
}

static bool plug_pty(struct board *b) {
    struct port *p = &b->port;
    p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (p->fd < 0 || grantpt(p->fd) || unlockpt(p->fd) || ptsname_r(p->fd, p->name, sizeof p->name))
        return false;
    if (!touch(p, b->initial_baud))
        return false;
    p->openers = 0;
    p->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (p->watch >= 0)
        inotify_add_watch(p->watch, p->name, IN_OPEN | IN_CLOSE);
    unlink_ours(p);
    return !p->link || !symlink(p->name, p->link);
}

/* Follow opens and closes; true if all who had the port open have closed it, and somebody has opened it again. */
static bool reopened(struct port *p) {
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool again = false;
    ssize_t length;
    while (p->watch >= 0 && (length = read(p->watch, events, sizeof events)) > 0)
        for (char *at = events; at < events + length;) {
            struct inotify_event *event = (struct inotify_event *)at;
            at += sizeof *event + event->len;
            if (event->mask & IN_CLOSE && p->openers > 0)
                p->openers--;
            if (event->mask & IN_OPEN && p->openers++ == 0)
                again = p->open;
        }
    return again;
}

/* How many bytes are taken now: as many as the buffer of a USB adapter holds wait here, the others in the system. */
static size_t wanted(const struct board *b) {
    return b->line.length < TAKEN_AT_ONCE ? TAKEN_AT_ONCE - b->line.length : 0;
}

/* Nobody has the port: what was written before the close is still to be sent, and nothing comes behind it. */
static void take_rest(struct board *b) {
    uint8_t bytes[4096];
    ssize_t length;
    while (line_room(&b->line) >= sizeof bytes && (length = read(b->port.fd, bytes, sizeof bytes)) > 0)
        line_from_host(b, bytes, (size_t)length);
}

/* Whether somebody has opened the port whom no event announces: it comes a moment after POLLHUP has gone, and is lost
 * only where it was one with the event of `touch`.
 */
static bool unannounced(struct port *p) {
    int64_t now = now_ns();
    if (!p->seen_open_ns)
        p->seen_open_ns = now;
    return p->watch < 0 || now - p->seen_open_ns > ANNOUNCED_WITHIN_NS;
}

static void look_at_pty(struct board *b) {
    struct port *p = &b->port;
    uint8_t bytes[TAKEN_AT_ONCE];
    size_t limit = p->open ? wanted(b) : 0;
    ssize_t length = limit ? read(p->fd, bytes, limit) : 0;
    bool again = reopened(p);
    struct pollfd look = {.fd = p->fd};
    poll(&look, 1, 0);
    bool open_now = !(look.revents & POLLHUP);
    b->line.host_baud = termios_baud(p->fd);
    if (length > 0 && !again)
        line_from_host(b, bytes, (size_t)length);
    if (p->open && (again || !open_now)) {
        if (!again)
            take_rest(b);
        closed(b);
        touch(p, 0);
    }
    if (!open_now) {
        p->openers = 0;
        p->seen_open_ns = 0;
    } else if (!p->open && (p->openers || unannounced(p))) {
        p->openers += !p->openers;
        opened(b);
    }
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

static void take_from_peer(struct board *b) {
    uint8_t bytes[TAKEN_AT_ONCE];
    size_t limit = wanted(b);
    ssize_t length = limit ? recv(b->port.fd, bytes, limit, 0) : -1;
    if (length > 0)
        line_from_host(b, bytes, (size_t)length);
    else if (limit && (!length || (errno != EAGAIN && errno != EINTR))) {
        close_fd(&b->port.fd);
        closed(b);
    }
}

static void look_at_tcp(struct board *b) {
    struct port *p = &b->port;
    int yes = 1;
    if (p->fd >= 0) {
        take_from_peer(b);
    } else if ((p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        opened(b);
    }
}

/* Both */

static void close_all(struct port *p) {
    close_fd(&p->watch);
    close_fd(&p->fd);
    close_fd(&p->listener);
}

/* Plug the cable in; `errno` says why that failed. */
bool port_plug(struct board *b) {
    struct port *p = &b->port;
    p->fd = p->listener = p->watch = -1;
    p->plugged = p->transport == PTY ? plug_pty(b) : plug_tcp(b);
    int why = errno;
    if (!p->plugged)
        close_all(p);
    errno = why;
    return p->plugged;
}

/* Pull it out: programs that have the port open find it gone. */
void port_unplug(struct board *b) {
    struct port *p = &b->port;
    if (!p->plugged)
        return;
    if (p->open)
        closed(b);
    close_all(p);
    if (p->transport == PTY)
        unlink_ours(p);
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
