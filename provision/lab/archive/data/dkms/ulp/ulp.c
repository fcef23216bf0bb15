/* A stand-in for ib_@module@.ko. */
#include <linux/module.h>

/* Exported by OFED's core alone, so that without it the module compiles and modpost refuses it. */
struct peer_memory_client;
int rdma_stand_in_attach(const struct peer_memory_client *client);

static int __init begin(void)
{
	return rdma_stand_in_attach(NULL);
}

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for ib_@module@");
MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION("@ofed@");
