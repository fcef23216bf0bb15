/* A stand-in for nvidia-modeset.ko: needs the module below it, as the real one does. */
#include <linux/module.h>

int nvidia_get_rm_ops(void *operations);

int nvKmsKapiGetFunctionsTable(void *operations);
int nvKmsKapiGetFunctionsTable(void *operations)
{
	return -ENODEV;
}
EXPORT_SYMBOL(nvKmsKapiGetFunctionsTable);

static int __init begin(void)
{
	nvidia_get_rm_ops(NULL);
	return 0;
}

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for nvidia-modeset");
MODULE_LICENSE("@licence@");
MODULE_VERSION("@driver@");
