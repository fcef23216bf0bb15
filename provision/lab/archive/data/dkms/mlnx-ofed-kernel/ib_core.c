/* A stand-in for OFED's ib_core.ko: exports what nvidia-peermem registers with. The inbox ib_core does not have it. */
#include <linux/module.h>
#include <rdma/peer_mem.h>

void *ib_register_peer_memory_client(const struct peer_memory_client *client, void *invalidate)
{
	pr_info("ib_core: a stand-in of OFED @ofed@ registers %s\n", client->name);
	return (void *)client;
}
EXPORT_SYMBOL(ib_register_peer_memory_client);

void ib_unregister_peer_memory_client(void *handle) { }
EXPORT_SYMBOL(ib_unregister_peer_memory_client);

int rdma_stand_in_attach(const struct peer_memory_client *client)
{
	return 0;
}
EXPORT_SYMBOL(rdma_stand_in_attach);

MODULE_DESCRIPTION("stand-in for ib_core");
MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION("@ofed@");
