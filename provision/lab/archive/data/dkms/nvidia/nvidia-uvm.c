/* A stand-in for nvidia-uvm.ko: needs the module below it, as the real one does. */
#include <linux/module.h>

int nvidia_get_rm_ops(void *operations);

static int __init begin(void)
{
	nvidia_get_rm_ops(NULL);
	return 0;
}

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for nvidia-uvm");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("@driver@");
