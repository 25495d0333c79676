/* SPDX-License-Identifier: MIT */
/*
 * echo_server PATH: listens on a Unix socket, answers each connection from a block of its own, until SIGTERM.
 * echo_server PATH COUNT: asks that server COUNT times, and prints how many answers were right.
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../programs/programs.h"

static const char question[] = "what is in a name";

static int open_socket(const char *path, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    return fd;
}

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static OWN_FRAME void answer(int fd)
{
    char *block = malloc(100);
    CHECK(block != NULL);
    ssize_t size = read(fd, block, 100);
    CHECK(size >= 0 && write(fd, block, (size_t)size) == size);
    free(block);
}

static void serve(const char *path)
{
    struct sockaddr_un address;
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    unlink(path);
    int fd = open_socket(path, &address);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0);
    while (!ended) {
        int peer = accept(fd, NULL, NULL);
        if (peer < 0)
            continue;
        answer(peer);
        close(peer);
    }
    unlink(path);
    puts("served");
}

int main(int argc, char **argv)
{
    CHECK(argc > 1);
    if (argc == 2) {
        serve(argv[1]);
        return 0;
    }
    int right = 0;
    for (int i = 0; i < atoi(argv[2]); i++) {
        struct sockaddr_un address;
        char reply[sizeof question] = "";
        int fd = open_socket(argv[1], &address);
        CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
        CHECK(write(fd, question, sizeof question) == sizeof question);
        right += read(fd, reply, sizeof reply) == sizeof reply && !strcmp(reply, question);
        close(fd);
    }
    printf("%d right\n", right);
    return 0;
}
