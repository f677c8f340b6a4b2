/* redis_cluster.h - a real Redis Cluster for one test: primaries on free loopback ports, each with
 * its share of the slots, without replicas. */
#ifndef RELAY_TESTS_REDIS_CLUSTER_H
#define RELAY_TESTS_REDIS_CLUSTER_H

#include "redis_server.h"

#define CLUSTER_PRIMARIES 3u

struct redis_cluster_servers {
    struct redis_server at[CLUSTER_PRIMARIES];
    char bus[CLUSTER_PRIMARIES][16];
    char replies[4096]; /* what cluster_say() got */
};

static inline const char *cluster_say(struct redis_cluster_servers *c, unsigned server,
                                      const char *words)
{
    return redis_server_say(&c->at[server], words, c->replies, sizeof c->replies);
}

static inline bool cluster_start_server(struct redis_cluster_servers *c, unsigned server)
{
    const char *const args[] = {"--cluster-enabled",
                                "yes",
                                "--cluster-port",
                                c->bus[server],
                                "--cluster-node-timeout",
                                "1000",
                                "--cluster-require-full-coverage",
                                "no",
                                NULL};
    return redis_server_run(&c->at[server], args);
}

/* All of them know all, and serve. */
static inline bool cluster_is_whole(struct redis_cluster_servers *c)
{
    bool whole = true;
    for (unsigned i = 0; i < CLUSTER_PRIMARIES; i++) {
        const char *info = cluster_say(c, i, "CLUSTER INFO");
        whole = whole && strstr(info, "cluster_state:ok") != NULL &&
                strstr(info, "cluster_slots_ok:16384") != NULL &&
                strstr(info, "cluster_known_nodes:3") != NULL;
    }
    return whole;
}

static inline void cluster_stop(struct redis_cluster_servers *c)
{
    for (unsigned i = 0; i < CLUSTER_PRIMARIES; i++) {
        char path[96];
        redis_server_kill(&c->at[i]);
        snprintf(path, sizeof path, "%s/nodes.conf", c->at[i].folder);
        (void)unlink(path);
        redis_server_stop(&c->at[i]);
    }
}

/* False: there is no redis-server, or it does not start. */
static inline bool cluster_start(struct redis_cluster_servers *c)
{
    memset(c, 0, sizeof *c);
    if (redis_server_find() == NULL) {
        return false;
    }
    for (unsigned i = 0; i < CLUSTER_PRIMARIES; i++) {
        char slots[64];
        snprintf(c->at[i].folder, sizeof c->at[i].folder, "/tmp/relay-redis-XXXXXX");
        c->at[i].port = free_port();
        snprintf(c->bus[i], sizeof c->bus[i], "%u", free_port());
        if (!CHECK(mkdtemp(c->at[i].folder) != NULL) || !cluster_start_server(c, i)) {
            return false;
        }
        snprintf(slots, sizeof slots, "CLUSTER ADDSLOTSRANGE %u %u", 16384 * i / CLUSTER_PRIMARIES,
                 16384 * (i + 1) / CLUSTER_PRIMARIES - 1);
        CHECK_INT(strncmp(cluster_say(c, i, slots), "+OK", 3), 0);
    }
    for (unsigned i = 1; i < CLUSTER_PRIMARIES; i++) {
        char meet[80];
        snprintf(meet, sizeof meet, "CLUSTER MEET 127.0.0.1 %u %s", c->at[i].port, c->bus[i]);
        CHECK_INT(strncmp(cluster_say(c, 0, meet), "+OK", 3), 0);
    }
    for (int i = 0; i < 1500 && !cluster_is_whole(c); i++) {
        usleep(20000);
    }
    return CHECK(cluster_is_whole(c));
}

#endif
