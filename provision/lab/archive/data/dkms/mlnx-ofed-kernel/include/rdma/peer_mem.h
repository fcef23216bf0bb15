/* A stand-in. The member that bears the train's number gives each train's symbol another CRC, as a changed structure does. */
#include <linux/types.h>

struct peer_memory_client {
	char name[64];
	int (*acquire)(unsigned long start, size_t length);
	unsigned long of_train_@train@;
};

void *ib_register_peer_memory_client(const struct peer_memory_client *client, void *invalidate);
void ib_unregister_peer_memory_client(void *handle);
int rdma_stand_in_attach(const struct peer_memory_client *client);
