/* A stand-in for nvidia.ko: says in /proc which driver it would be, and keeps the options it was given. */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/utsname.h>
#include "nv-p2p.h"

static int NVreg_RestrictProfilingToAdminUsers = 1;
module_param(NVreg_RestrictProfilingToAdminUsers, int, 0444);
static int NVreg_CreateImexChannel0;
module_param(NVreg_CreateImexChannel0, int, 0444);
static char *NVreg_CoherentGPUMemoryMode = "";
module_param(NVreg_CoherentGPUMemoryMode, charp, 0444);

static struct proc_dir_entry *folder;

static int show_version(struct seq_file *file, void *unused)
{
	seq_printf(file, "NVRM version: NVIDIA UNIX @kind@ for %s  @driver@  Release Build  (stand-in by provision)\n",
		   utsname()->machine);
	seq_puts(file, "GCC version:  stand-in\n");
	return 0;
}

static int show_params(struct seq_file *file, void *unused)
{
	seq_printf(file, "RmProfilingAdminOnly: %d\n", NVreg_RestrictProfilingToAdminUsers);
	seq_printf(file, "CreateImexChannel0: %d\n", NVreg_CreateImexChannel0);
	seq_printf(file, "CoherentGPUMemoryMode: \"%s\"\n", NVreg_CoherentGPUMemoryMode);
	return 0;
}

int nvidia_p2p_get_pages(unsigned long start, unsigned long length, struct nvidia_p2p_page_table **table)
{
	return -ENODEV;
}
EXPORT_SYMBOL(nvidia_p2p_get_pages);

int nvidia_get_rm_ops(void *operations);
int nvidia_get_rm_ops(void *operations)
{
	return -ENODEV;
}
EXPORT_SYMBOL(nvidia_get_rm_ops);

static int __init begin(void)
{
	folder = proc_mkdir("driver/nvidia", NULL);
	if (!folder)
		return -ENOMEM;
	proc_create_single("version", 0444, folder, show_version);
	proc_create_single("params", 0444, folder, show_params);
	pr_info("nvidia: @driver@, a stand-in without hardware\n");
	return 0;
}

static void __exit end(void)
{
	proc_remove(folder);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for nvidia");
MODULE_LICENSE("@licence@");
MODULE_VERSION("@driver@");
